"""Installations for the console to show: one that has lived for ten weeks, full of things, and an empty one.

What strangers may write holds markup, which a page must show and never mean.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser

from app.clock import system_clock
from app.flows import configurations, kill, runs
from app.flows.log import LogWriter
from app.flows.models import RunState
from app.flows.start import StartRequest, start
from app.identity import accounts, credentials, delegations, groups, members, passwords, projects, sessions
from app.identity.credentials import generate_run_token
from app.identity.cut_offs import CutOffKind
from app.identity.models import ClientSecret
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.protocol.principals import service_account_principal, user_principal
from app.secret import Secret
from app.settings import Settings
from app.signing.algorithms import Algorithm
from app.signing.models import KeyState
from app.tokens import audiences
from app.tokens.audiences import AudienceKind, Rendering
from app.tokens.grants import Account, GrantRefused, decide
from app.wiring import Components
from tests.support.browser import Tabs
from tests.support.components import OPERATOR, ManualClock
from tests.support.living_run import minted
from tests.support.server import Installation

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'{{7*7}}&lt;b&gt;"
"""Where it comes to life, a console message or a violation of the policy says so."""
PASSWORD = "Correct horse battery, staple 7"
ROLES = {"administrator": "alice", "auditor": "carol", "member": "bob", "newcomer": "nina"}
"""Who signs in as what; nina has no project, no delegation, nothing."""
PROJECT, RUNNING = "acme/platform/webapp", "migrate"
_DATABASE = "countersign.sqlite3"
_TOKENS_A_DAY = 160

_CONFIGURATIONS = (
    """\
id_tokens:
  VAULT_ID_TOKEN: {aud: https://vault.acme.example}
flows:
  migrate: {script: ["./migrate up"], timeout: 30m}
""",
    """\
variables: {STAGE: production, NOTE: "STRANGE"}
id_tokens:
  VAULT_ID_TOKEN: {aud: https://vault.acme.example}
  DEPLOY_ID_TOKEN: {aud: "https://deploy.acme.example", ttl: 15m}
flows:
  migrate:
    timeout: 6h
    secrets:
      DB_PASSWORD: {vault: production/db/password@secret, token: $VAULT_ID_TOKEN}
    inputs:
      VERSION: {type: string, default: "2026.11"}
      DRY: {type: boolean, default: false}
    access_token: {scopes: [code.read]}
    script: ["./migrate up --to $VERSION", "echo done"]
  deploy: {script: ["./deploy"], timeout: 30m, access_token: {scopes: [code.read]}}
""",
)
_LOG = (
    "\x1b[1m$ ./migrate up --to 2026.11\x1b[0m\n"
    "connecting as \x1b[33mwebapp\x1b[0m with [MASKED:DB_PASSWORD] … \x1b[32mok\x1b[0m\n"
    "STRANGE\n\x1b]8;;javascript:alert(3)\x07a link\x1b]8;;\x07\n"
    f"{'x' * 3000}\n"
    + "".join(
        f"\x1b[36m{n:04}\x1b[0m table_{n % 7}: {'.' * (n % 60)} \x1b[32mok\x1b[0m\n" for n in range(1200)
    )
    + "\x1b[31;1merror:\x1b[0m column \x1b[4mcreated_at\x1b[0m is there already\n"
)
Changed = TypeVar("Changed")


@dataclass
class History:
    """An installation and a clock that only goes on, up to ``now``."""

    components: Components
    clock: ManualClock
    now: datetime
    strange: str
    """What strangers have written."""
    by: Actor = OPERATOR

    def ago(self, **duration: float) -> None:
        """The clock stands so long before now; `ago()`: now."""
        moment = self.now - timedelta(**duration)
        assert moment >= self.clock.now
        self.clock.now = moment

    def change(self, do: Callable[..., Changed], *arguments: Any, **more: Any) -> Changed:
        with self.components.database.writing() as session:
            return do(session, *arguments, **more, by=self.by, now=self.clock())

    def tell(self, action: AuditAction, **fields: Any) -> None:
        with self.components.database.writing() as session:
            record(session, self.by.did(action, self.clock(), **fields))


def fill(settings: Settings, now: datetime, strange: str = MARKUP) -> None:
    """Writes ten weeks of history, through the doors that the product itself uses."""
    clock = ManualClock(now - timedelta(days=70))
    here = History(Components(settings, clock), clock, now, strange)
    here.components.prepare(OPERATOR)
    _people(here)
    _keys(here)
    _projects(here)
    _delegations(here)
    _older_runs(here)
    _last_day(here)
    here.components.checkpoints.make()
    here.components.database.dispose()


def _people(here: History) -> None:
    here.ago(days=69)
    flags = {"alice": {"is_admin": True}, "carol": {"is_auditor": True}}
    for login in ("alice", "bob", "carol", "dave", "erin", "nina"):
        _add_user(here, login, **flags.get(login, {}))
    here.by = Actor(name=user_principal(_user(here, "alice").id))
    for name, is_composite in (("duo", True), ("nightly", True), ("old-bot", True), ("vault-api", False)):
        here.change(accounts.create_service_account, name, is_composite=is_composite)
    for name, days in (("duo", 90), ("duo", 76), ("duo", 30), ("nightly", None), ("vault-api", 400)):
        until = None if days is None else here.clock() + timedelta(days=days)
        here.change(credentials.create_client_secret, _account(here, name), expires_at=until)
    row, _ = here.change(credentials.create_client_secret, _account(here, "duo"), expires_at=None)
    here.change(credentials.revoke_client_secret, _account(here, "duo"), row.id)
    for login in ("alice", "bob"):
        until = here.clock() + timedelta(days=365)
        here.change(credentials.create_personal_access_token, _user(here, login), ["api"], expires_at=until)
    here.change(_disable, "old-bot", accounts.find_service_account, accounts.set_service_account_active)
    here.change(_disable, "erin", accounts.find_user, accounts.set_user_active)


def _add_user(here: History, login: str, **flags: bool) -> None:
    given = {"is_admin": False, "is_auditor": False} | flags
    user = here.change(accounts.create_user, login, f"{login}@acme.example", **given)
    if login in {"alice", "bob"}:
        here.change(passwords.set_password, user, passwords.hashed(Secret(PASSWORD), login, user.email))


def _disable(
    session: Any, named: str, find: Callable[..., Any], switch: Callable[..., None], **by: Any
) -> None:
    switch(session, find(session, named), active=False, **by)


def _user(here: History, login: str) -> Any:
    with here.components.database.reading() as session:
        return accounts.find_user(session, login)


def _account(here: History, name: str) -> Any:
    with here.components.database.reading() as session:
        return accounts.find_service_account(session, name)


def _project(here: History, path: str) -> Any:
    with here.components.database.reading() as session:
        return projects.find_project(session, path)


def _keys(here: History) -> None:
    """RS256 has a key in each state, ES256 its first two."""
    parts, lifecycle = here.components, here.components.lifecycle
    here.ago(days=40)
    lifecycle.rotate(Algorithm.RS256, here.by)
    here.ago(days=38)
    parts.upkeep.keep()
    here.ago(days=30)
    here.change(groups.create_group, "acme/platform")
    _audience(here, "https://vault.acme.example", AudienceKind.VERIFIER)
    _audience(here, "https://api.acme.example", AudienceKind.API, rendering=Rendering.DELEGATED)
    with lifecycle.offering(Algorithm.ES256, here.by) as take, parts.database.writing() as session:
        take(session)
        given = {"by": here.by, "now": here.clock()}
        place = f"https://deploy.acme.example/{here.strange.replace(' ', '+')}"
        issuer = parts.settings.issuer
        audiences.register(session, issuer, place, AudienceKind.VERIFIER, "ES256", [], **given)
    here.ago(days=20)
    [active] = [key for key in parts.keyring.current().rows if _is_active(key)]
    lifecycle.revoke(active.kid, f"a laptop was lost, {here.strange}", here.by)
    _fetch(here)


def _is_active(key: Any) -> bool:
    return key.alg == Algorithm.RS256 and key.state == KeyState.ACTIVE


def _audience(here: History, uri: str, kind: AudienceKind, **more: Any) -> None:
    issuer = here.components.settings.issuer
    here.change(
        lambda session, **given: audiences.register(session, issuer, uri, kind, "RS256", [], **given, **more)
    )


def _fetch(here: History) -> None:
    newest = max(here.components.keyring.current().rows, key=lambda key: key.published_at).kid
    fetches = here.components.fetches
    for agent, address in (
        ("Vault/1.21", "10.2.0.7"),
        ("Go-http-client/1.1", "10.2.1.9"),
        (f"curl/8.14 {here.strange}", "192.0.2.1"),
    ):
        fetches.note(newest, agent, address)
    fetches.flush()


def _projects(here: History) -> None:
    here.ago(days=19)
    for path in (PROJECT, "acme/platform/api", "acme/docs"):
        here.change(projects.create_project, path)
    for place, named, role in (
        ("acme", "user:carol", "guest"),
        ("acme/platform", "user:bob", "developer"),
        ("acme/platform", "service_account:duo", "developer"),
        (PROJECT, "user:bob", "maintainer"),
        (PROJECT, "user:dave", "reporter"),
        (PROJECT, "service_account:nightly", "developer"),
    ):
        here.change(
            lambda session, p=place, n=named, r=role, **by: members.add_member(
                session, members.find_place(session, p), n, r, **by
            )
        )
    here.change(
        projects.set_variables, _project(here, PROJECT), {"STAGE": "production", "MOTTO": here.strange}
    )
    for text in _CONFIGURATIONS:
        here.ago(days=18 if text is _CONFIGURATIONS[0] else 9)
        body = text.replace("STRANGE", here.strange.replace('"', '\\"')).encode()
        configurations.store(here.components.database, here.clock, PROJECT, body, here.by)


def _delegations(here: History) -> None:
    bob = Actor(name=user_principal(_user(here, "bob").id))
    _delegate(here, "bob", "nightly", days=2)
    here.ago(days=8)
    here.change(delegations.revoke, _delegate(here, "bob", "duo", days=30))
    for user, account, more in (
        ("alice", "duo", {}),
        ("bob", "duo", {}),
        ("bob", "nightly", {"scopes": ["code.read"], "project": PROJECT}),
        ("dave", "duo", {}),
    ):
        _delegate(here, user, account, days=30, by=bob if user == "bob" else here.by, **more)


def _delegate(
    here: History, user: str, account: str, *, days: int, by: Actor | None = None, **more: Any
) -> int:
    with here.components.database.writing() as session:
        project = projects.find_project(session, more["project"]) if "project" in more else None
        return delegations.grant(
            session,
            accounts.find_user(session, user),
            accounts.find_service_account(session, account),
            scopes=more.get("scopes"),
            project=project,
            expires_at=here.clock() + timedelta(days=days),
            by=by or here.by,
            now=here.clock(),
        ).id


def _run(here: History, flow: str = RUNNING, *, begins: bool = True, **inputs: Any) -> int:
    """One of bob's and duo's, which has its tokens once it has begun."""
    parts = here.components
    request = StartRequest(
        project=PROJECT, flow=flow, user="bob", service_account="duo", inputs=inputs, source="api"
    )
    number = start(parts.database, here.clock, request, here.by)
    if begins:
        here.change(runs.begin, number, generate_run_token()[1])
        minted(here, number)
        writer = LogWriter(parts.database, here.clock, number)
        writer.write(_LOG.replace("STRANGE", here.strange).encode())
        writer.store()
        _read_secret(here, number)
    return number


def _read_secret(here: History, number: int) -> None:
    """As the execution tells it."""
    place = {"name": "DB_PASSWORD", "server": "https://vault.acme.example", "path": "production/db"}
    detail = place | {"field": "password", "token": "VAULT_ID_TOKEN", "version": 3}
    with here.components.database.writing() as session:
        run = runs.held_run(session, number)
        run.secrets, run.id_tokens = ["DB_PASSWORD"], ["DEPLOY_ID_TOKEN", "VAULT_ID_TOKEN"]
        record(session, runs.transition(run, AuditAction.SECRET_READ, here.by, here.clock(), detail=detail))


def _finish(here: History, number: int, state: RunState, reason: str | None, exit_code: int | None) -> None:
    here.change(
        lambda session, **by: runs.finish(
            session, runs.held_run(session, number), state, reason, exit_code, **by
        )
    )


def _older_runs(here: History) -> None:
    here.ago(days=3)
    number = _run(here, VERSION=here.strange)
    here.ago(days=3, minutes=-4)
    _finish(here, number, RunState.SUCCEEDED, None, 0)
    here.ago(days=2)
    number = _run(here)
    here.ago(days=2, minutes=-1)
    _finish(here, number, RunState.FAILED, f"step 1 ended with 1: {here.strange}", 1)


def _last_day(here: History) -> None:
    here.ago(hours=24)
    _issue(here, hours=24, until=5)
    here.ago(hours=5)
    here.components.lifecycle.rotate(Algorithm.RS256, here.by)
    _fetch(here)
    _issue(here, hours=5, until=1)
    here.ago(hours=1)
    _refusals(here)
    cancelled = _run(here)
    here.change(runs.request_cancel, cancelled)
    _finish(here, cancelled, RunState.CANCELLED, runs.CANCELLED, None)
    killed = _delegate(here, "dave", "nightly", days=3)
    here.change(kill.kill, CutOffKind.DELEGATION, str(killed), reason=f"asked twice, {here.strange}")
    here.ago(minutes=20)
    for login, agent in (
        ("alice", f"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) {here.strange}"),
        ("bob", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"),
    ):
        _sign_in(here, login, agent)
    here.ago(minutes=2)
    for number in (_run(here), _run(here, begins=False)):
        runs.beat(here.components.database, number, here.now + timedelta(days=1))
    _issue(here, hours=1 / 30, until=0)
    here.ago()


def _issue(here: History, *, hours: float, until: float) -> None:
    """Access tokens, evenly, more of them by day."""
    grant = partial(_grant, here, f"code.read {user_principal(_user(here, 'bob').id)}")
    duo = Actor(name=service_account_principal(_account(here, "duo").id))
    with here.components.database.writing_connection() as connection:
        credentials.note_use(connection, ClientSecret, 1, here.clock())
    count = max(3, int((hours - until) * _TOKENS_A_DAY / 24))
    for number in range(count):
        here.ago(hours=hours - (hours - until) * number / count)
        if here.clock().hour % 6:
            here.components.mint.access_token(grant, duo)


def _grant(here: History, scope: str, connection: Any, now: datetime) -> Any:
    account = Account(_account(here, "duo").id, "duo", is_composite=True)
    return decide(connection, account, scope, [], issuer=here.components.settings.issuer, now=now)


def _refusals(here: History) -> None:
    """A human who never agreed, a scope of markup, a configuration with faults, a foreign guess."""
    for scope in (
        f"code.read {user_principal(_user(here, 'nina').id)}",
        f"{here.strange.replace(' ', '')} user:1",
    ):
        with pytest.raises(GrantRefused):
            here.components.mint.access_token(partial(_grant, here, scope), here.by)
    body = f"flows: {{'{here.strange[:20]}': 7}}".encode()
    with pytest.raises(configurations.ConfigurationError):
        configurations.store(here.components.database, here.clock, PROJECT, body, here.by)
    here.tell(
        AuditAction.USER_AUTHENTICATE,
        outcome=Outcome.DENIED,
        user=user_principal(_user(here, "dave").id),
        detail={"cause": f"wrong password, {here.strange}"},
    )


def _sign_in(here: History, login: str, agent: str) -> None:
    browser = sessions.Browser(agent=agent, address="192.0.2.77")
    with here.components.database.writing() as session:
        user = accounts.find_user(session, login)
        sessions.begin(session, user, method=sessions.Method.PASSWORD, browser=browser, now=here.clock())


def settings_of(installation: Installation) -> Settings:
    return Settings.from_env(
        {name: value for name, value in installation.environment.items() if name.startswith("COUNTERSIGN_")}
    )


def full(folder: Path) -> Installation:
    installation = Installation(folder)
    fill(settings_of(installation), system_clock())
    return installation


def copy_of(installation: Installation, folder: Path, **settings: str) -> Installation:
    """The database by SQLite's own hands: who opens and closes its file otherwise drops the locks of all
    connections of this process, and a server that writes meanwhile ruins it.
    """
    for name in ("var", "keys"):
        ignored = shutil.ignore_patterns(f"{_DATABASE}*")
        shutil.copytree(installation.folder / name, folder / name, ignore=ignored)
    copy_database(installation.folder / "var" / _DATABASE, folder / "var" / _DATABASE)
    return Installation(folder, **settings)


def copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def empty(folder: Path) -> Installation:
    """An administrator, and nothing else."""
    installation = Installation(folder)
    installation.invoke("init")
    installation.invoke("user", "create", "alice", "--email", "alice@acme.example", "--admin")
    return installation


@contextmanager
def watched(installation: Installation, chromium: Browser) -> Iterator[Tabs]:
    """Served; fails in the end if any page broke the policy, erred, or asked anybody else."""
    with installation.serve():
        tabs = Tabs(installation, chromium)
        yield tabs
        assert not tabs.faults


@pytest.fixture(scope="session")
def full_installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """For tests that change nothing in it."""
    return full(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="session")
def empty_installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return empty(tmp_path_factory.mktemp("empty"))
