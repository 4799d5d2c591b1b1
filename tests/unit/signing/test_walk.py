"""Any acts in any order on two nodes, with any pauses and crashes between: no verifier ever notices.

One node's clock is a minute fast, the other's a minute slow; keys lie in files and in the database. A
verifier here is anybody who has fetched the JWKS within the publish lead, and keeps to what it got.
"""

import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as effort_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from app.errors import Refusal
from app.ledger.key import FILE_NAME as LEDGER_KEY
from app.signing.algorithms import Algorithm, PrivateKey, decoded, generate, verifier
from app.signing.keystores import KeystoreError, KeystoreName
from app.signing.keystores.base import IN_THE_MAKING
from app.signing.keystores.models import SealedKey
from app.signing.models import PUBLISHED, SIGNING, KeyState
from app.tokens import audiences
from app.tokens.audiences import AudienceKind
from app.tokens.grants import Account, decide
from app.wiring import Components
from tests.support import effort
from tests.support.components import ISSUER, OPERATOR, ManualClock, parts, settings_for
from tests.support.crash import killed_before
from tests.unit.signing.keysets import (
    assert_no_key_signed_early,
    assert_one_pair_of_each,
    assert_told,
    told,
)

LEAD = timedelta(hours=24)
SKEW = timedelta(seconds=60)
KEK = b64encode(bytes(32)).decode()
ADDED = (Algorithm.ES256, Algorithm.EDDSA, Algorithm.ES384)
ENDS = (KeyState.REVOKED, KeyState.REMOVED)
NODES = st.integers(0, 1)
ALGORITHMS = st.sampled_from([Algorithm.RS256, *ADDED])
KEYSTORES = st.sampled_from([KeystoreName.FILES, KeystoreName.DATABASE])
IMPORTED = st.integers(0, 3)
STEPS = st.integers(1, 60)
HOUR = 3600.0
PAUSES = st.sampled_from([1.0, 4.0, 60.0, 600.0, HOUR, 12 * HOUR, 24 * HOUR, 25 * HOUR, 45 * 24 * HOUR])


def uri(algorithm: Algorithm) -> str:
    return f"https://{algorithm.lower()}.example"


@cache
def from_elsewhere(algorithm: Algorithm, number: int) -> PrivateKey:
    return generate(algorithm)


@dataclass(frozen=True)
class Off:
    """A clock that goes as the other does, and wrong."""

    clock: ManualClock
    by: timedelta

    def __call__(self) -> datetime:
        return self.clock() + self.by


@dataclass(frozen=True)
class Minted:
    token: str
    kid: str
    expires_at: datetime


ACTS: dict[str, Callable[[Components, Algorithm, PrivateKey], object]] = {
    "rotate": lambda it, algorithm, _: it.lifecycle.rotate(algorithm, OPERATOR, override="a drill"),
    "revoke": lambda it, *_: it.lifecycle.revoke(it.keyring.current().active.kid, "lost", OPERATOR),
    "keep": lambda it, *_: it.upkeep.keep(),
    "import": lambda it, algorithm, key: it.lifecycle.import_key(key, algorithm, OPERATOR),
    "move to files": lambda it, *_: it.mover.move(KeystoreName.FILES, OPERATOR),
    "move to the database": lambda it, *_: it.mover.move(KeystoreName.DATABASE, OPERATOR),
}


class Walk(RuleBasedStateMachine):
    people: Any
    prepared: Any

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="walk-"))
        shutil.copytree(self.prepared.home, self.folder / "var")
        shutil.copytree(self.prepared.keys, self.folder / "keys")
        self.clock = ManualClock()
        self.settings = settings_for(self.folder, KEY_ENCRYPTION_KEY=KEK)
        self.clocks = [Off(self.clock, SKEW), Off(self.clock, -SKEW)]
        self.nodes = [Components(self.settings, clock) for clock in self.clocks]
        for node in self.nodes:
            node.keyring._snapshot = self.prepared.opened
        self.followed_at = self.clock()
        self.fetched: dict[str, dict[str, Any]] = {}
        self.fetched_at = self.clock()
        self.minted: list[Minted] = []
        self.ended: dict[str, str] = {}
        self.fetch()

    def teardown(self) -> None:
        for node in self.nodes:
            node.database.dispose()
        shutil.rmtree(self.folder)

    def attempt(self, node: int, act: Any) -> None:
        try:
            act(self.nodes[node])
        except KeystoreError:
            raise  # no keystore has any reason here
        except Refusal:
            return

    def fetch(self) -> None:
        """A verifier's cache, refilled."""
        jwks = self.nodes[0].keyring.current().public_jwks
        self.fetched, self.fetched_at = {jwk["kid"]: jwk for jwk in jwks}, self.clock()

    @rule(seconds=PAUSES)
    def pause(self, seconds: float) -> None:
        """Nodes follow within five seconds; a verifier fetches anew within the publish lead."""
        self.clock.advance(seconds=seconds)
        if self.clock() - self.followed_at >= timedelta(seconds=5):
            for node in self.nodes:
                node.keyring.refresh()
            self.followed_at = self.clock()
        if self.clock() - self.fetched_at >= LEAD - 2 * SKEW:
            self.fetch()

    @rule(node=NODES, algorithm=ALGORITHMS)
    def mint(self, node: int, algorithm: Algorithm) -> None:
        account = Account(self.people.duo, "duo", is_composite=True)
        scope, resources = f"user:{self.people.alice}", [] if algorithm == "RS256" else [uri(algorithm)]
        mint = self.nodes[node].mint

        def issue(_: Components) -> None:
            signed = mint.access_token(
                lambda connection, now: decide(connection, account, scope, resources, issuer=ISSUER, now=now),
                OPERATOR,
            )
            token = signed.token.reveal()
            header, claims = parts(token)
            self.minted.append(Minted(token, header["kid"], datetime.fromtimestamp(claims["exp"], UTC)))

        self.attempt(node, issue)

    @rule(node=NODES, algorithm=ALGORITHMS, override=st.sampled_from([None, None, None, "a drill"]))
    def rotate(self, node: int, algorithm: Algorithm, override: str | None) -> None:
        self.attempt(node, lambda it: it.lifecycle.rotate(algorithm, OPERATOR, override=override))

    @rule(node=NODES, number=st.integers(0, 7))
    def revoke(self, node: int, number: int) -> None:
        def act(components: Components) -> None:
            published = [row for row in components.keyring.history() if row.state in PUBLISHED]
            components.lifecycle.revoke(published[number % len(published)].kid, "lost", OPERATOR)

        self.attempt(node, act)

    @rule(node=NODES, algorithm=st.sampled_from(ADDED))
    def register(self, node: int, algorithm: Algorithm) -> None:
        def act(components: Components) -> None:
            now = {"by": OPERATOR, "now": components.clock()}
            with (
                components.lifecycle.offering(algorithm, OPERATOR) as take_into_use,
                components.database.writing() as session,
            ):
                audiences.register(session, ISSUER, uri(algorithm), AudienceKind.API, algorithm, [], **now)
                take_into_use(session)

        self.attempt(node, act)

    @rule(node=NODES, algorithm=st.sampled_from(ADDED))
    def remove(self, node: int, algorithm: Algorithm) -> None:
        def act(components: Components) -> None:
            with components.database.writing() as session:
                audiences.remove(session, uri(algorithm), by=OPERATOR, now=components.clock())

        self.attempt(node, act)

    @rule(node=NODES, algorithm=ALGORITHMS, number=IMPORTED)
    def take_in(self, node: int, algorithm: Algorithm, number: int) -> None:
        key = from_elsewhere(algorithm, number)
        self.attempt(node, lambda it: it.lifecycle.import_key(key, algorithm, OPERATOR))

    @rule(node=NODES, to=KEYSTORES)
    def move(self, node: int, to: KeystoreName) -> None:
        self.attempt(node, lambda it: it.mover.move(to, OPERATOR))

    @rule(node=NODES)
    def keep(self, node: int) -> None:
        self.nodes[node].upkeep.keep()

    @rule(step=STEPS, algorithm=ALGORITHMS, number=IMPORTED, act=st.sampled_from([*ACTS]))
    def crash(self, step: int, algorithm: Algorithm, number: int, act: str) -> None:
        """`kill -9` in the middle of it; then that node starts again."""
        key = from_elsewhere(algorithm, number)

        def half() -> None:
            ACTS[act](Components(self.settings, self.clocks[1]), algorithm, key)

        for node in self.nodes:
            node.database.dispose()
        killed_before(step, half)
        self.nodes[1].database.dispose()
        self.nodes[1] = Components(self.settings, self.clocks[1])
        self.nodes[1].prepare(OPERATOR)

    @invariant()
    def one_active_and_one_next_of_each(self) -> None:
        assert_one_pair_of_each(self.nodes[1])

    @invariant()
    def what_is_published_is_never_too_much(self) -> None:
        published = [row for row in self.nodes[1].keyring.history() if row.state in PUBLISHED]
        assert 2 <= len(published) <= 8

    @invariant()
    def no_key_signs_before_the_lead(self) -> None:
        assert_no_key_signed_early(self.nodes[1])

    @invariant()
    def what_has_ended_stays_so(self) -> None:
        states = {row.kid: row.state for row in self.nodes[1].keyring.history()}
        assert all(states[kid] == state for kid, state in self.ended.items())
        self.ended = {kid: state for kid, state in states.items() if state in ENDS}

    @invariant()
    def each_change_is_told_once(self) -> None:
        assert_told(self.nodes[1])

    @invariant()
    def no_valid_token_is_refused(self) -> None:
        """By whoever asks now, nor by whoever fetched within the lead; overrides and revocations excepted."""
        rows = {row.kid: row for row in self.nodes[1].keyring.history()}
        excused = {row.kid for row in told(self.nodes[1], "rotate") if row.detail["override"]}
        self.minted = [each for each in self.minted if each.expires_at > self.clock()]
        for each in self.minted:
            row = rows[each.kid]
            if row.state == KeyState.REVOKED:
                continue
            assert row.state in PUBLISHED
            content, _, signature = each.token.rpartition(".")
            assert verifier(row.public_jwk)(decoded(signature), content.encode())
            if each.kid not in excused:
                assert each.kid in self.fetched

    @invariant()
    def nothing_that_is_dead_keeps_its_private_half_past_a_start(self) -> None:
        node = self.nodes[1]
        node.lifecycle.ensure_keys(OPERATOR)
        rows = node.keyring.history()
        living = {row.kid: row.keystore for row in rows if row.state in SIGNING}
        assert {row.kid for row in rows if row.destroyed_at is None} == living.keys()
        files = {file.name for file in (self.folder / "keys").iterdir() if not file.name.startswith(".new-")}
        in_files = {kid for kid, store in living.items() if store == KeystoreName.FILES}
        assert files - {LEDGER_KEY} == {f"{kid}.pem" for kid in in_files}
        with node.database.reading() as session:
            sealed = {row.kid: row.created_at for row in session.scalars(select(SealedKey))}
        assert living.keys() - in_files <= sealed.keys()
        left = sealed.keys() - (living.keys() - in_files)
        assert all(sealed[kid] >= node.clock() - IN_THE_MAKING for kid in left), "another may be making it"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_walk_leads_astray(peopled, prepared):
    prepared_with_people, people = peopled
    walk = type("Walk", (Walk,), {"people": people, "prepared": prepared_with_people})
    examples = effort.count(ci=8, proof=300)
    run_state_machine_as_test(
        walk, settings=effort_settings(max_examples=examples, stateful_step_count=25, deadline=None)
    )
