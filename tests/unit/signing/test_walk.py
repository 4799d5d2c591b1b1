"""Any acts in any order on two nodes, with any pauses and crashes between: no verifier ever notices.

A verifier here is anybody who has fetched the JWKS within the publish lead, and keeps to what it got.
"""

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as effort_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from app.clock import timestamp
from app.errors import Refusal
from app.signing.algorithms import Algorithm, decoded, verifier
from app.signing.models import PUBLISHED, KeyState
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
    assert_private_halves,
    assert_told,
    told,
)

LEAD = timedelta(hours=24)
ADDED = (Algorithm.ES256, Algorithm.EDDSA, Algorithm.ES384)
ENDS = (KeyState.REVOKED, KeyState.REMOVED)
NODES = st.integers(0, 1)
ALGORITHMS = st.sampled_from([Algorithm.RS256, *ADDED])
STEPS = st.integers(1, 60)
HOUR = 3600.0
PAUSES = st.sampled_from([1.0, 4.0, 60.0, 600.0, HOUR, 12 * HOUR, 24 * HOUR, 25 * HOUR, 45 * 24 * HOUR])


def uri(algorithm: Algorithm) -> str:
    return f"https://{algorithm.lower()}.example"


@dataclass(frozen=True)
class Minted:
    token: str
    kid: str
    expires_at: datetime


class Walk(RuleBasedStateMachine):
    people: Any
    prepared: Any

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="walk-"))
        shutil.copytree(self.prepared.home, self.folder / "var")
        shutil.copytree(self.prepared.keys, self.folder / "keys")
        self.clock = ManualClock()
        self.settings = settings_for(self.folder)
        self.nodes = [Components(self.settings, self.clock) for _ in range(2)]
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
        with suppress(Refusal):
            act(self.nodes[node])

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
        if self.clock() - self.fetched_at >= LEAD:
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
            expires_at = self.clock() + timedelta(seconds=claims["exp"] - timestamp(self.clock()))
            self.minted.append(Minted(token, header["kid"], expires_at))

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
            now = {"by": OPERATOR, "now": self.clock()}
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
                audiences.remove(session, uri(algorithm), by=OPERATOR, now=self.clock())

        self.attempt(node, act)

    @rule(node=NODES)
    def keep(self, node: int) -> None:
        self.nodes[node].upkeep.keep()

    @rule(step=STEPS, algorithm=ALGORITHMS, act=st.sampled_from(["rotate", "revoke", "keep"]))
    def crash(self, step: int, algorithm: Algorithm, act: str) -> None:
        """`kill -9` in the middle of it; then that node starts again."""
        active = self.nodes[0].keyring.current().active.kid

        def half() -> None:
            node = Components(self.settings, self.clock)
            if act == "rotate":
                node.lifecycle.rotate(algorithm, OPERATOR, override="a drill")
            elif act == "revoke":
                node.lifecycle.revoke(active, "lost", OPERATOR)
            else:
                node.upkeep.keep()

        for node in self.nodes:
            node.database.dispose()
        killed_before(step, half)
        self.nodes[1].database.dispose()
        self.nodes[1] = Components(self.settings, self.clock)
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
        self.nodes[1].lifecycle.ensure_keys(OPERATOR)
        assert_private_halves(self.nodes[1], self.folder / "keys")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_walk_leads_astray(peopled, prepared):
    prepared_with_people, people = peopled
    walk = type("Walk", (Walk,), {"people": people, "prepared": prepared_with_people})
    examples = effort.count(ci=8, proof=300)
    run_state_machine_as_test(
        walk, settings=effort_settings(max_examples=examples, stateful_step_count=25, deadline=None)
    )
