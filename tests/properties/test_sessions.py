"""A session is alive exactly when a model of a dozen lines says so, whatever happened in which order."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Denied
from app.flows.kill import kill
from app.identity import accounts, session_ends, sessions
from app.identity.cut_offs import CutOffKind
from app.identity.sessions import Browser, Limits, Method
from app.secret import Secret
from tests.support.components import NOW, OPERATOR, World
from tests.support.effort import count

IDLE, LIFE, MINUTE, INSTANT = (
    timedelta(hours=1),
    timedelta(minutes=61),
    timedelta(minutes=1),
    timedelta(microseconds=1),
)
LIMITS = Limits(idle=IDLE, life=LIFE)
BROWSER = Browser(agent="a test", address="192.0.2.1")
WAITS = [
    INSTANT,
    MINUTE - INSTANT,
    MINUTE,
    IDLE / 2,
    IDLE - INSTANT,
    IDLE,
    -INSTANT,
    -MINUTE,
    -IDLE,
]


@dataclass
class Modelled:
    begun: datetime
    signed_in: datetime
    seen: datetime
    ended: bool = False


@dataclass
class Model:
    """What ought to be."""

    now: datetime = NOW
    enabled: bool = True
    kills: list[datetime] = field(default_factory=list)
    sessions: dict[int, Modelled] = field(default_factory=dict)

    def is_alive(self, number: int) -> bool:
        one = self.sessions[number]
        return (
            self.enabled
            and not one.ended
            and self.now - one.seen < IDLE
            and self.now - one.signed_in < LIFE
            and not any(at >= one.begun for at in self.kills)
        )

    def end_all(self, *, but: int | None = None) -> None:
        for number, one in self.sessions.items():
            one.ended |= number != but


class Story:
    """The same steps in the product and in the model; `which` picks one of the sessions there are."""

    def __init__(self, world: World, login: str) -> None:
        self.database, self.login = world.components.database, login
        self.user_id = world.new_user(login)
        self.model = Model()
        self.secrets: dict[int, Secret] = {}
        self.dead: list[Secret] = []

    def step(self, name: str, which: int) -> None:
        number = list(self.secrets)[which % len(self.secrets)] if self.secrets else None
        if number is not None or name in WITHOUT_A_SESSION:
            getattr(self, name)(number)

    def wait(self, duration: timedelta, *, busy: bool) -> None:
        """Somebody is at every browser at its end, if `busy`."""
        self.model.now += duration
        for number in self.secrets if busy else ():
            self.touch(number)

    def begin(self, _: int | None) -> None:
        now = self.model.now
        with self.database.writing() as session:
            user = accounts.find_user(session, self.login)
            if not self.model.enabled:
                with pytest.raises(Denied):
                    sessions.begin(session, user, method=Method.LINK, browser=BROWSER, now=now)
                return
            begun = sessions.begin(session, user, method=Method.LINK, browser=BROWSER, now=now)
        self.secrets[begun.id] = begun.secret
        self.model.sessions[begun.id] = Modelled(now, now, now)

    def renew(self, number: int) -> None:
        now = self.model.now
        told = {"method": Method.LINK, "browser": BROWSER, "now": now, "limits": LIMITS}
        with self.database.writing() as session:
            user = accounts.find_user(session, self.login)
            if not self.model.is_alive(number):
                with pytest.raises(Denied):
                    sessions.renew(session, user, number, **told)
                return
            begun = sessions.renew(session, user, number, **told)
        assert begun.id == number
        self.dead.append(self.secrets[number])
        self.secrets[number] = begun.secret
        self.model.sessions[number].signed_in = self.model.sessions[number].seen = now

    def touch(self, number: int) -> None:
        """As at a request."""
        one, now = self.model.sessions[number], self.model.now
        holder = self.holder(self.secrets[number])
        if holder is not None:
            assert holder.use_is_due is (now - one.seen >= MINUTE)
            with self.database.writing_connection() as connection:
                sessions.touch(connection, number, now)
            one.seen = now if holder.use_is_due else one.seen

    def end(self, number: int) -> None:
        self.change(session_ends.end, number, user_id=self.user_id)
        self.model.sessions[number].ended = True

    def end_others(self, number: int) -> None:
        self.change(session_ends.end_others, self.user_id, but=number)
        self.model.end_all(but=number)

    def disable(self, _: int | None) -> None:
        self.set_active(active=False)
        self.model.end_all()

    def enable(self, _: int | None) -> None:
        self.set_active(active=True)

    def kill(self, _: int | None) -> None:
        self.kill_at(self.model.now)

    def kill_by_a_fast_clock(self, _: int | None) -> None:
        """Of another node, a minute ahead; and forgiven at once."""
        self.kill_at(self.model.now + MINUTE)
        self.set_active(active=True)

    def kill_at(self, at: datetime) -> None:
        with self.database.writing() as session:
            kill(session, CutOffKind.USER, self.login, reason="a test", by=OPERATOR, now=at)
        self.model.kills.append(at)
        self.model.enabled = False
        self.model.end_all()

    def disable_and_enable(self, _: int | None) -> None:
        self.disable(None)
        self.enable(None)

    def set_active(self, *, active: bool) -> None:
        with self.database.writing() as session:
            user, now = accounts.find_user(session, self.login), self.model.now
            accounts.set_user_active(session, user, active=active, by=OPERATOR, now=now)
        self.model.enabled = active

    def change(self, do, *arguments, **keywords) -> None:
        with self.database.writing() as session:
            do(session, *arguments, **keywords, by=OPERATOR, now=self.model.now)

    def holder(self, secret: Secret):
        with self.database.reading_connection() as connection:
            return sessions.authenticate(connection, secret, self.model.now, LIMITS)

    def check(self) -> None:
        numbers = {number for number in self.secrets if self.model.is_alive(number)}
        found = [self.holder(secret) for secret in self.secrets.values()]
        assert {each.session_id for each in found if each} == numbers
        assert {each.user_id for each in found if each} <= {self.user_id}
        assert [self.holder(secret) for secret in self.dead] == [None] * len(self.dead)
        with self.database.reading() as session:
            listed = sessions.of_user(session, self.user_id, self.model.now, LIMITS)
            assert not self.model.enabled or {row.id for row in listed} == numbers


WITHOUT_A_SESSION = ("begin", "enable", "disable", "disable_and_enable", "kill", "kill_by_a_fast_clock")
CHANGES = ("begin", "renew", "renew", "touch", "touch", "end", "end_others", *WITHOUT_A_SESSION)
STEPS = st.lists(
    st.tuples(st.sampled_from(CHANGES), st.integers(0, 3)) | st.tuples(st.sampled_from(WAITS), st.booleans()),
    min_size=3,
    max_size=20,
)


@settings(max_examples=count(ci=100, proof=2000))
@given(steps=STEPS)
def test_a_session_is_alive_exactly_when_the_model_says_so(shared_world, steps):
    story = Story(shared_world, f"human-{len(shared_world.events('identity:user:create'))}")
    story.begin(None)
    for what, how in steps:
        if isinstance(what, timedelta):
            story.wait(what, busy=how)
        else:
            story.step(what, how)
        story.check()
