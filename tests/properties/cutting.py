"""Pairs under load, and how each is ended: what clients saw, by when they asked."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.flows.kill import kill
from app.identity import accounts, credentials, delegations, members, projects
from app.identity.cut_offs import CutOffKind
from app.identity.models import CutOff
from app.secret import Secret
from app.tokens import audiences
from app.tokens.audiences import AudienceKind
from app.tokens.models import IssuedToken
from app.wiring import Components
from tests.support.components import OPERATOR, basic

API = "https://api.acme.example"
MINT, INTROSPECT, DECIDE = "/oauth/token", "/oauth/introspect", "/access/v1/evaluation"
BOUND = {MINT: 0.0, INTROSPECT: 0.0, DECIDE: 1.0}
"""Seconds after which an answer may rest no more on what has ended: the documented ones."""
PATIENCE = 60.0
"""Seconds for a machine that hangs."""
ALL = frozenset(BOUND)


class Client(Protocol):
    """One for each thread. Status and JSON body of the answer; a mapping is sent as JSON, else as a form."""

    def __call__(self, path: str, body: dict[str, Any], authorization: str) -> tuple[int, Any]: ...


class Seen(NamedTuple):
    what: str
    began: float
    allowed: bool


@dataclass
class Pair:
    """A human and an account of their own; `ended` is when the transaction that ended them was durable."""

    user: int
    account: int
    secret: Secret
    secret_id: int
    delegation: int
    project: str
    tokens: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    ended: float | None = None

    @property
    def human(self) -> str:
        return f"user:{self.user}"

    @property
    def machine(self) -> str:
        return f"service_account:{self.account}"

    def asked_after(self, what: str) -> int:
        """How often so late that no answer may rest on what has ended."""
        if self.ended is None:
            return 0
        bound = self.ended + BOUND[what]
        return sum(each.what == what and each.began > bound for each in [*self.seen])


By = dict[str, Any]


class Unanswered(Exception):  # noqa: N818 - nothing was allowed, which is no fault on a machine that hangs
    """503, or no connection."""


def disable_human(session: Session, pair: Pair, by: By) -> None:
    accounts.set_user_active(session, accounts.find_user(session, pair.human), active=False, **by)


def disable_account(session: Session, pair: Pair, by: By) -> None:
    account = accounts.find_service_account(session, pair.machine)
    accounts.set_service_account_active(session, account, active=False, **by)


def revoke_delegation(session: Session, pair: Pair, by: By) -> None:
    delegations.revoke(session, pair.delegation, **by)


def revoke_secret(session: Session, pair: Pair, by: By) -> None:
    account = accounts.find_service_account(session, pair.machine)
    credentials.revoke_client_secret(session, account, pair.secret_id, **by)


def remove_member(session: Session, pair: Pair, by: By) -> None:
    members.remove_member(session, members.find_place(session, pair.project), pair.human, **by)


def delete_project(session: Session, pair: Pair, by: By) -> None:
    projects.delete_project(session, projects.find_project(session, pair.project), **by)


def kill_human(session: Session, pair: Pair, by: By) -> None:
    kill(session, CutOffKind.USER, pair.human, reason="a test", **by)


def kill_account(session: Session, pair: Pair, by: By) -> None:
    kill(session, CutOffKind.SERVICE_ACCOUNT, pair.machine, reason="a test", **by)


def kill_delegation(session: Session, pair: Pair, by: By) -> None:
    kill(session, CutOffKind.DELEGATION, str(pair.delegation), reason="a test", **by)


KILLS = {
    kill_human: CutOffKind.USER,
    kill_account: CutOffKind.SERVICE_ACCOUNT,
    kill_delegation: CutOffKind.DELEGATION,
}
ENDINGS: dict[Callable[[Session, Pair, By], None], frozenset[str]] = {
    disable_human: ALL,
    disable_account: ALL,
    revoke_delegation: ALL,
    revoke_secret: frozenset({MINT}),
    remove_member: frozenset({DECIDE}),
    delete_project: frozenset({DECIDE}),
    **dict.fromkeys(KILLS, ALL),
}
"""What each ends."""


@dataclass
class Load:
    """`clients` makes one for each thread."""

    components: Components
    clients: Callable[[], Client]
    chance: random.Random
    threads: int = 4

    def __post_init__(self) -> None:
        self._serial = 0
        self._stop = threading.Event()
        self._faults: list[Any] = []
        self._unanswered: list[Unanswered] = []
        with self.components.database.writing() as session:
            by = self._by()
            shop = accounts.create_service_account(session, "shop", is_composite=False, **by)
            _, secret = credentials.create_client_secret(session, shop, expires_at=None, **by)
            issuer = self.components.settings.issuer
            audiences.register(
                session, issuer, API, AudienceKind.API, "RS256", [], introspectors=[shop], **by
            )
            self.shop = basic(f"sa_{shop.id}", secret.reveal())

    def _by(self) -> By:
        return {"by": OPERATOR, "now": self.components.clock()}

    def newcomers(self) -> Pair:
        self._serial += 1
        name, by = f"load{self._serial}", self._by()
        with self.components.database.writing() as session:
            user = accounts.create_user(session, name, f"{name}@example.com", is_admin=False, **by)
            account = accounts.create_service_account(session, f"agent{name}", is_composite=True, **by)
            row, secret = credentials.create_client_secret(session, account, expires_at=None, **by)
            project = projects.create_project(session, f"{name}/web", **by)
            until = by["now"] + timedelta(days=1)
            delegation = delegations.grant(
                session, user, account, scopes=None, project=None, expires_at=until, **by
            )
            pair = Pair(user.id, account.id, secret, row.id, delegation.id, project.path)
            for named in (pair.human, pair.machine):
                members.add_member(session, project, named, "developer", **by)
        return pair

    def end(self, pair: Pair, ending: Callable[[Session, Pair, By], None]) -> None:
        self._write(lambda session: ending(session, pair, self._by()))
        pair.ended = time.monotonic()

    def _write(self, change: Callable[[Session], object]) -> None:
        """SQLite lets a writer wait while others come and go, and then gives up for it."""

        def once() -> None:
            with self.components.database.writing() as session:
                change(session)

        insist(once, OperationalError)

    @contextmanager
    def upon(self, pairs: list[Pair]) -> Iterator[None]:
        """Leaves once each has been asked all, more than once, later than its bound after its end."""
        self._stop.clear()
        seeds = [self.chance.random() for _ in range(self.threads)]
        threads = [threading.Thread(target=self._ask, args=(pairs, seed)) for seed in seeds]
        for thread in threads:
            thread.start()
        try:
            yield
            self._stop.wait(max(BOUND.values()) + 0.5)
            deadline = time.monotonic() + PATIENCE
            while not (self._faults or all(pair.asked_after(what) > 1 for pair in pairs for what in BOUND)):
                assert time.monotonic() < deadline, self._unanswered[:10]
                self._stop.wait(0.1)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        assert not self._faults, self._faults
        # A moment in which the machine hangs costs each thread an answer.
        spared = self.threads + sum(len(pair.seen) for pair in pairs) / 10
        assert len(self._unanswered) <= spared, self._unanswered[:10]

    def _ask(self, pairs: list[Pair], seed: float) -> None:
        chance, client = random.Random(seed), self.clients()  # noqa: S311 - a choice of what to ask
        try:
            while not self._stop.is_set():
                with self._put_up_with():
                    ask_one(client, chance.choice(pairs), chance.choice([*BOUND]), chance, self.shop)
        except Exception as fault:  # noqa: BLE001 - told by the thread that waits
            self._faults.append(fault)

    @contextmanager
    def _put_up_with(self) -> Iterator[None]:
        try:
            yield
        except Unanswered as none:
            self._unanswered.append(none)
            self._stop.wait(0.05)

    def enable(self, pair: Pair) -> None:
        def change(session: Session) -> None:
            by = self._by()
            accounts.set_user_active(session, accounts.find_user(session, pair.human), active=True, **by)
            account = accounts.find_service_account(session, pair.machine)
            accounts.set_service_account_active(session, account, active=True, **by)

        self._write(change)

    def newest_token(self, pair: Pair) -> Any:
        query = select(IssuedToken.issued_at).where(IssuedToken.user_id == pair.user)
        return self._one(query.order_by(IssuedToken.issued_at.desc()).limit(1))

    def cut_off_at(self, kind: CutOffKind, target: int) -> Any:
        return self._one(select(CutOff.at).where(CutOff.kind == kind.value, CutOff.target == str(target)))

    def _one(self, query: Any) -> Any:
        with self.components.database.reading_connection() as connection:
            return connection.execute(query).scalar_one()


def insist(do: Callable[[], object], *passing: type[Exception]) -> Any:
    """What it gives as soon as none of these hinders it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return do()
        except passing:
            if time.monotonic() > deadline:
                raise


def ask_one(client: Client, pair: Pair, what: str, chance: random.Random, shop: str) -> bool:
    """One question, remembered; no answer but yes or no will do. Raises ``Unanswered``."""
    began = time.monotonic()
    if what == MINT:
        form = {"grant_type": "client_credentials", "scope": f"api {pair.human}", "resource": API}
        status, answer = asked(client, MINT, form, basic(f"sa_{pair.account}", pair.secret.reveal()))
        assert status in {200, 400, 401}, (status, answer)
        allowed = status == 200
        if allowed:
            pair.tokens.append(answer["access_token"])
    elif what == INTROSPECT:
        status, answer = asked(client, INTROSPECT, {"token": chance.choice(pair.tokens)}, shop)
        assert status == 200, (status, answer)
        allowed = answer["active"]
    else:
        subject = {
            "type": "service_account",
            "id": str(pair.account),
            "properties": {"on_behalf_of": pair.human},
        }
        resource = {"type": "project", "id": pair.project}
        question = {"subject": subject, "action": {"name": "code.write"}, "resource": resource}
        status, answer = asked(client, DECIDE, question, shop)
        assert status == 200, (status, answer)
        allowed = answer["decision"]
    pair.seen.append(Seen(what, began, allowed))
    return bool(allowed)


def asked(client: Client, what: str, body: Any, authorization: str) -> tuple[int, Any]:
    """Status and body. Raises ``Unanswered``."""
    status, answer = client(what, body, authorization)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise Unanswered(what, answer)
    return status, answer
