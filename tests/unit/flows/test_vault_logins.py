"""A Vault token is kept from before its first use until it is dead; what a crash leaves is ended later."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler

import pytest
from sqlalchemy import select

from app.doctor import _vault_tokens_fault
from app.flows import runs, vault_leftovers
from app.flows.models import ConfigurationVersion, Run, RunState, VaultLogin
from app.flows.outbound import Outbound
from app.flows.transport import Limits
from app.flows.vault import SecretUnavailable, Vault, VaultServer
from app.flows.vault_leftovers import VaultLeftovers
from app.flows.vault_logins import VaultLogins
from app.identity import projects
from app.identity.projects import find_project
from app.ledger.models import AuditRow
from app.sealing import Sealer, derived_key
from app.secret import Secret
from tests.support import odd_server
from tests.support.components import OPERATOR, on_every_database
from tests.support.odd_server import Behaviour, OddServer, serving

ID_TOKEN = Secret("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwcm9qZWN0In0.c2lnbmF0dXJl")
VAULT_TOKEN = "hvs.CAESIJ5oVaultTokenOfThisSession"
LOGIN, REVOKE = "/v1/auth/jwt/login", "/v1/auth/token/revoke-self"
CONFIGURATION = b"flows: {fix-ci: {script: ['true']}}"
TTL = timedelta(minutes=5)


def said(status: int, body: object) -> Behaviour:
    return odd_server.answer(status, json.dumps(body).encode())


REFUSED = said(403, {"errors": ["permission denied"]})
SEALED = said(503, {"errors": ["Vault is sealed"]})


@contextmanager
def vault(revoke: Behaviour | None = None, lease: object = 300) -> Iterator[OddServer]:
    login = said(200, {"auth": {"client_token": VAULT_TOKEN, "lease_duration": lease}})
    table = {LOGIN: login, REVOKE: revoke or odd_server.answer(204, b"")}

    def behave(handler: BaseHTTPRequestHandler, server: OddServer) -> None:
        table.get(handler.path, said(404, {"errors": []}))(handler, server)

    with serving(behave) as server:
        yield server


def logins(world, *, key: str = "of the tests", total: float = 60) -> VaultLogins:
    here = world.components
    outbound = Outbound([], allow_loopback=True, limits=Limits(total=total))
    sealer = Sealer(derived_key(Secret(key), "vault logins"))
    return VaultLogins(here.database, here.clock, Vault(outbound), sealer)


@pytest.fixture
def run(world) -> int:
    here, now = world.components, world.clock()
    with here.database.writing() as session:
        project = find_project(session, world.project)
        version = ConfigurationVersion(
            project_id=project.id,
            sha256="0" * 64,
            body=CONFIGURATION,
            created_by=OPERATOR.name,
            created_at=now,
        )
        session.add(version)
        session.flush()
        made = Run(
            state=RunState.RUNNING,
            project_id=project.id,
            configuration_id=version.id,
            flow="fix-ci",
            source="cli",
            user_id=world.alice,
            service_account_id=world.duo,
            delegation_id=world.delegation,
            id_tokens=[],
            secrets=[],
            created_at=now,
            started_at=now,
            heartbeat_at=now,
        )
        session.add(made)
        session.flush()
        return made.id


def end(world, run: int) -> None:
    world.change(
        lambda session, **by: runs.finish(
            session, runs.held_run(session, run), RunState.FAILED, "x", None, **by
        )
    )


def kept(world) -> list[VaultLogin]:
    with world.components.database.reading() as session:
        return list(session.scalars(select(VaultLogin)))


def told(world) -> list[tuple[str, str, object]]:
    """What the ledger has of revocations: by whom, how it went, and why not."""
    with world.components.database.reading() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action == "flows:vault_token:revoke"))
        return [(row.actor, row.outcome, row.detail["reason"]) for row in rows]


def revocations(server: OddServer) -> int:
    return sum(asked.path == REVOKE for asked in server.asked)


def left_by_a_crash(world, run: int, server: OddServer) -> None:
    logins(world).login(run, VaultServer(server.address, namespace="acme"), ID_TOKEN)
    end(world, run)


@on_every_database
def test_a_token_is_kept_sealed_before_its_first_use_and_goes_with_its_end(world, run):
    with vault() as server:
        login = logins(world).login(run, VaultServer(server.address, role="ship", namespace="acme"), ID_TOKEN)
        assert [asked.path for asked in server.asked] == [LOGIN]
        [row] = kept(world)
        assert (row.run_id, row.server["url"], row.server["namespace"]) == (run, server.address, "acme")
        assert VAULT_TOKEN.encode() not in row.sealed
        logins(world).close(login)
    assert revocations(server) == 1
    assert kept(world) == []


def test_what_is_sealed_opens_for_its_run_and_under_its_key_alone(world, run):
    with vault() as server:
        logins(world).login(run, VaultServer(server.address), ID_TOKEN)
        [row] = kept(world)
        assert logins(world).reopen(row).token.secret == Secret(VAULT_TOKEN)
        for other, row.run_id in ((logins(world, key="another"), run), (logins(world), run + 1)):
            with pytest.raises(SecretUnavailable, match="COUNTERSIGN_SECRET_KEY is not the one"):
                other.reopen(row)


def test_a_token_that_cannot_be_kept_is_revoked_and_never_used(world):
    with vault() as server, pytest.raises(Exception, match="FOREIGN KEY"):
        logins(world).login(999, VaultServer(server.address), ID_TOKEN)
    assert [asked.path for asked in server.asked] == [LOGIN, REVOKE]


def test_a_token_that_has_outlived_itself_needs_no_revocation(world, run):
    with vault(REFUSED) as server:
        login = logins(world).login(run, VaultServer(server.address), ID_TOKEN)
        with pytest.raises(SecretUnavailable, match="permission denied"):
            logins(world).close(login)
        assert kept(world)
        world.clock.advance(minutes=5)
        logins(world).close(login)
    assert kept(world) == []


@on_every_database
def test_what_a_crash_left_is_ended_once_the_run_has(world, run):
    with vault() as server:
        logins(world).login(run, VaultServer(server.address, namespace="acme"), ID_TOKEN)
        leftovers = VaultLeftovers(logins(world))
        assert leftovers.end() == 0
        assert revocations(server) == 0
        end(world, run)
        assert "1 of runs that have ended" in _vault_tokens_fault(world.components.database)
        assert leftovers.end() == 1
    assert kept(world) == []
    assert _vault_tokens_fault(world.components.database) is None
    assert told(world) == [("worker", "success", None)]
    sent = server.asked[-1].headers
    assert (sent["X-Vault-Token"], sent["X-Vault-Namespace"]) == (VAULT_TOKEN, "acme")


@pytest.mark.parametrize("trouble", [REFUSED, SEALED, odd_server.hang_up])
def test_a_vault_that_cannot_now_is_asked_again_after_pauses_that_grow(world, run, trouble):
    with vault(trouble) as server:
        left_by_a_crash(world, run, server)
        leftovers = VaultLeftovers(logins(world))
        asked = []
        for _ in range(12):
            assert leftovers.end() == 0
            asked.append(revocations(server))
            world.clock.advance(seconds=10)
    assert asked == [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4]
    assert kept(world)
    assert told(world) == []


def test_a_row_goes_when_its_token_must_be_dead_and_that_is_told(world, run):
    with vault(SEALED) as server:
        left_by_a_crash(world, run, server)
        world.clock.advance(seconds=299)
        leftovers = VaultLeftovers(logins(world))
        assert leftovers.end() == 0
        world.clock.advance(seconds=1)
        assert leftovers.end() == 1
    assert kept(world) == []
    assert told(world) == [("worker", "failed", "it is not known to be revoked; its own life is over")]


@pytest.mark.parametrize("lease", [0, None, "soon", -1, 1.5, 999_999_999])
def test_a_token_without_an_end_is_kept_until_it_is_revoked_or_given_up(world, run, lease):
    with vault(SEALED, lease) as server:
        left_by_a_crash(world, run, server)
    leftovers = VaultLeftovers(logins(world))
    world.clock.advance(days=31)
    assert leftovers.end() == 0
    assert kept(world)
    world.clock.advance(days=1)
    assert leftovers.end() == 0
    assert kept(world) == []
    assert told(world) == [("worker", "failed", "it is not known to be revoked; given up after 32 days")]


def test_what_was_sealed_under_another_key_is_given_up_in_the_end(world, run):
    with vault() as server:
        left_by_a_crash(world, run, server)
        world.clock.advance(seconds=299)
        assert VaultLeftovers(logins(world, key="another")).end() == 0
        assert kept(world)
        world.clock.advance(seconds=1)
        assert VaultLeftovers(logins(world, key="another")).end() == 1
    assert revocations(server) == 0
    assert kept(world) == []


def test_each_project_has_its_turn_whatever_another_has_left(world, run, monkeypatch):
    monkeypatch.setattr(vault_leftovers, "_AT_ONCE", 2)
    with vault(REFUSED, lease=0) as hostile, vault() as honest:
        for _ in range(5):
            logins(world).login(run, VaultServer(hostile.address), ID_TOKEN)
        end(world, run)
        other = of_another_project(world, run)
        left_by_a_crash(world, other, honest)
        leftovers = VaultLeftovers(logins(world))
        assert leftovers.end() == 1
        assert (revocations(hostile), revocations(honest)) == (2, 1)
        assert [leftovers.end(), leftovers.end()] == [0, 0]
        assert revocations(hostile) == 5  # the first once more has to wait


def test_a_turn_takes_so_long_and_goes_on_next_time(world, run, monkeypatch):
    monkeypatch.setattr(vault_leftovers, "_SECONDS_AT_ONCE", 0)
    with vault(REFUSED, lease=0) as server:
        for _ in range(3):
            logins(world).login(run, VaultServer(server.address), ID_TOKEN)
        end(world, run)
        leftovers = VaultLeftovers(logins(world))
        asked = []
        for _ in range(3):
            leftovers.end()
            asked.append(revocations(server))
    assert asked == [1, 2, 3]


def of_another_project(world, run: int) -> int:
    """A run like this one, under way."""
    project = world.change(projects.create_project, "acme/other")
    with world.components.database.writing() as session:
        names = Run.__table__.columns.keys()
        values = {name: getattr(session.get(Run, run), name) for name in names if name != "id"}
        other = Run(**values | {"project_id": project.id, "state": RunState.RUNNING, "ended_at": None})
        session.add(other)
        session.flush()
        return other.id


def test_one_vault_that_is_away_is_asked_once_a_round_and_holds_up_no_other(world, run):
    with vault(odd_server.hang_up) as away, vault() as there:
        here = logins(world)
        for server in (away, away, there, away, there):
            here.login(run, VaultServer(server.address), ID_TOKEN)
        end(world, run)
        assert VaultLeftovers(here).end() == 2
        assert (revocations(away), revocations(there)) == (1, 2)


def test_housekeeping_does_not_wait_for_a_vault(world, run):
    with vault(odd_server.silence) as server:
        left_by_a_crash(world, run, server)
        leftovers = VaultLeftovers(logins(world))
        for _ in range(3):
            leftovers.end_soon()  # each would take a minute
        [asking] = [thread for thread in threading.enumerate() if thread.name == "vault-leftovers"]
        until(lambda: revocations(server))
        assert asking.is_alive()
    asking.join(30)  # the server is gone, so it is soon done
    assert not asking.is_alive()
    assert revocations(server) == 1


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
