"""The same questions over installations that have grown: more tokens, ledger rows, members, delegations.

Each size has a database of its own; they take turns in every round, so that their ratio can be trusted.
"""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench import asking
from bench.asking import Asking
from bench.countersign import API, PROJECT, Parties
from bench.rounds import Contestant
from tests.support.server import Installation

OPERATIONS = (asking.MINTING, asking.INTROSPECTING, asking.READING_AND_DECIDING, asking.SEARCHING)
MOST_MEMBERS, MOST_DELEGATIONS = 100_000, 10_000
_THEIRS = 10  # every tenth row is about the human who is searched for


def name(operation: str, rows: int) -> str:
    return f"{operation}, {rows:,} rows"


def home(folder: Path, rows: int) -> Path:
    return folder / f"var-{rows}"


def contestants(
    folder: Path, installation: Installation, parties: Parties, sizes: Sequence[int], questions: int
) -> list[Contestant]:
    """One for each operation and size; the installation is copied, and must not be running."""
    return [
        contestant
        for rows in sizes
        for contestant in _at(_grown(folder, installation, parties, rows), parties, rows, questions)
    ]


def _at(environment: dict[str, str], parties: Parties, rows: int, questions: int) -> list[Contestant]:
    over = Asking.of(environment, parties)
    work = (over.mint, over.introspect, over.read_and_decide, over.search)
    return [
        Contestant(name(operation, rows), questions, each)
        for operation, each in zip(OPERATIONS, work, strict=True)
    ]


def _grown(folder: Path, installation: Installation, parties: Parties, rows: int) -> dict[str, str]:
    grown = home(folder, rows)
    shutil.copytree(installation.environment["COUNTERSIGN_HOME_DIR"], grown)
    fill(grown / "countersign.sqlite3", parties, rows)
    return installation.environment | {"COUNTERSIGN_HOME_DIR": str(grown)}


def fill(database: Path, parties: Parties, rows: int) -> None:
    """With `rows` tokens and as many ledger rows, one each second until now, and who they are about. Nobody
    verifies these chains: their hashes are random, as large as real ones.
    """
    values = {
        "rows": rows,
        "members": min(rows, MOST_MEMBERS),
        "delegations": min(rows, MOST_DELEGATIONS),
        "user": parties.user,
        "account": parties.agent.number,
        "theirs": _THEIRS,
        "api": f'"{API}"',
        "project": PROJECT,
    }
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        for statement in _FILL:
            connection.execute(statement, values)
        connection.execute("COMMIT")


def _counted(into: str, up_to: str, columns: str) -> str:
    """One row for each `i` from 1."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :{up_to})"  # noqa: S608 - all from this file
    return f"INSERT INTO {into} {numbers} SELECT {columns} FROM n"  # noqa: S608 - likewise


_LONG_AGO = "'2026-01-01 00:00:00.000000'"
_NEVER = "'2099-01-01 00:00:00.000000'"
_USERS, _ACCOUNTS = 1_000_000, 2_000_000  # where the numbers of those who are made here begin
_FILL = (
    _counted("principals (id, kind, created_at)", "members", f"{_USERS} + i, 'user', {_LONG_AGO}"),
    _counted(
        "users (id, login, email, is_admin)",
        "members",
        f"{_USERS} + i, 'u' || i, 'u' || i || '@example.com', 0",
    ),
    _counted(
        "members (project_id, principal_id, role)",
        "members",
        f"(SELECT id FROM projects WHERE path = :project), {_USERS} + i, 'developer'",  # noqa: S608 - likewise
    ),
    _counted(
        "principals (id, kind, created_at)", "delegations", f"{_ACCOUNTS} + i, 'service_account', {_LONG_AGO}"
    ),
    _counted("service_accounts (id, name, is_composite)", "delegations", f"{_ACCOUNTS} + i, 'a' || i, 1"),
    _counted(
        "client_secrets (service_account_id, sha256, created_at)",
        "delegations",
        f"{_ACCOUNTS} + i, lower(hex(randomblob(32))), {_LONG_AGO}",
    ),
    _counted(
        "delegations (user_id, service_account_id, scopes, granted_by, created_at, expires_at)",
        "delegations",
        f"""(:user), {_ACCOUNTS} + i, '["api"]', 'user:' || :user, {_LONG_AGO}, {_NEVER}""",
    ),
    _counted(
        "issued_tokens (jti, kind, kid, audience, scope, service_account_id, user_id, delegation_id,"
        " issued_at, expires_at)",
        "rows",
        f"""lower(hex(randomblob(11))), 'access', (SELECT kid FROM signing_keys WHERE state = 'active'), :api,
            'api', :account, CASE WHEN i % :theirs THEN {_USERS} + 1 + i % :members ELSE :user END,
            (SELECT id FROM delegations WHERE service_account_id = :account),
            strftime('%Y-%m-%d %H:%M:%S', 'now', (i - :rows) || ' seconds') || '.000000',
            strftime('%Y-%m-%d %H:%M:%S', 'now', (900 + i - :rows) || ' seconds') || '.000000'""",  # noqa: S608 - likewise
    ),
    f"INSERT INTO ledger_writers (started_at) VALUES ({_LONG_AGO})",  # noqa: S608 - likewise
    """INSERT INTO audit_events (writer, seq, at, action, outcome, actor, user, service_account, jti, kid,
                                 request_id, detail, hash)
       SELECT (SELECT max(id) FROM ledger_writers), rowid, issued_at, 'tokens:access_token:issue', 'success',
              'service_account:' || service_account_id, 'user:' || user_id,
              'service_account:' || service_account_id, jti, kid, lower(hex(randomblob(8))),
              json_object('aud', :api, 'delegation', delegation_id, 'scope', scope, 'sub', 'user'),
              lower(hex(randomblob(32)))
       FROM issued_tokens""",
)
