"""Who may do what, told a second time: from the documentation's words, without a line of the product.

Humans are `h0`, `h1`, machines `m0`, `m1`; places and delegations are known by their index. Times are
seconds since the world began.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

RANK = {"guest": 1, "reporter": 2, "developer": 3, "maintainer": 4, "owner": 5}
NEEDS = {
    "project.read": 1,
    "code.read": 2,
    "run.read": 2,
    "code.write": 3,
    "flow.start": 3,
    "run.cancel": 3,
    "secret.read": 3,
    "configuration.write": 4,
    "project.create": 4,
    "audit.read": 5,
    "member.manage": 5,
    "project.admin": 5,
}
Scopes = tuple[str, ...]


def within(scopes: Scopes | None, asked: Collection[str]) -> bool:
    """No limit and `api` mean everything."""
    return scopes is None or "api" in scopes or set(asked) <= set(scopes)


@dataclass
class Place:
    path: str
    is_project: bool
    is_there: bool = True


@dataclass
class Delegation:
    human: str
    machine: str
    scopes: Scopes | None
    place: int | None
    ends: float
    revoked: bool = False


@dataclass
class Token:
    """`delegation` is the one that the token names; `place` that of its run; `is_own`: for our own API."""

    text: str
    machine: str
    human: str | None
    scopes: Scopes
    delegation: int | None
    ends: float
    is_own: bool
    place: int | None = None
    killed: bool = False


@dataclass
class Run:
    human: str
    machine: str
    place: int
    delegation: int
    killed: bool = False


@dataclass
class Model:
    places: list[Place]
    roles: dict[tuple[int, str], str]
    alone: set[str]
    """Machines that act in their own name."""
    delegations: dict[int, Delegation] = field(default_factory=dict)
    """By the number that the product gave them."""
    disabled: set[str] = field(default_factory=set)
    now: float = 0
    tokens: list[Token] = field(default_factory=list)
    runs: dict[int, Run] = field(default_factory=dict)

    def is_on(self, *who: str) -> bool:
        return not self.disabled & set(who)

    def rank(self, who: str, path: str) -> int:
        """The strongest role of those given here or above; a project's own counts in it alone."""
        here = f"{path}/"
        return max(
            (
                RANK[role]
                for (index, holder), role in self.roles.items()
                if holder == who
                and (
                    self.places[index].path == path
                    if self.places[index].is_project
                    else here.startswith(f"{self.places[index].path}/")
                )
            ),
            default=0,
        )

    def has_role_for(self, who: str, permission: str, path: str) -> bool:
        there = any(place.path == path and place.is_there for place in self.places)
        return there and permission in NEEDS and self.rank(who, path) >= NEEDS[permission]

    def alone_may(self, who: str, permission: str, path: str) -> bool:
        """A human in person, or a machine that acts in its own name."""
        enforced = who.startswith("m") and who not in self.alone
        return not enforced and self.is_on(who) and self.has_role_for(who, permission, path)

    def live(
        self, human: str, machine: str, asked: Collection[str], place: int | None, only: int | None = None
    ) -> set[int]:
        """The delegations that cover this; one for a project covers nothing outside of it."""
        return {
            number
            for number, each in self.delegations.items()
            if (each.human, each.machine) == (human, machine)
            and not each.revoked
            and self.now < each.ends
            and each.place in {None, place}
            and within(each.scopes, asked)
            and only in {None, number}
        }

    def pair_is_fit(self, machine: str, human: str) -> bool:
        """Somebody who is a human, and a machine that acts for humans, both active."""
        fit = human.startswith("h") and machine.startswith("m") and machine not in self.alone
        return fit and self.is_on(human, machine)

    def pair_may(
        self,
        machine: str,
        human: str,
        permission: str,
        path: str,
        scopes: Scopes | None = None,
        only: int | None = None,
    ) -> bool:
        here = next((i for i, each in enumerate(self.places) if each.path == path and each.is_project), None)
        return (
            self.pair_is_fit(machine, human)
            and self.has_role_for(human, permission, path)
            and self.has_role_for(machine, permission, path)
            and bool(self.live(human, machine, [permission], here, only))
            and within(scopes, [permission])
        )

    def grants(self, machine: str, human: str | None, scopes: Scopes) -> set[int] | None:
        """The delegations one of which a token would live from; `{0}`: none is needed; `None`: no token."""
        if machine in self.alone:
            return {0} if human is None and scopes and self.is_on(machine) else None
        if human is None or not self.pair_is_fit(machine, human):
            return None
        return self.live(human, machine, scopes, None) or None

    def starts(self, machine: str, human: str, place: int, asked: Collection[str]) -> set[int] | None:
        """The delegations one of which a run would live from, or `None`: it is not begun."""
        path = self.places[place].path
        may = all(self.has_role_for(who, "flow.start", path) for who in (human, machine))
        if not (may and self.pair_is_fit(machine, human)):
            return None
        return self.live(human, machine, asked, place) or None

    def goes_on(self, run: Run) -> bool:
        path = self.places[run.place].path
        return (
            not run.killed
            and self.pair_is_fit(run.machine, run.human)
            and all(self.has_role_for(who, "flow.start", path) for who in (run.human, run.machine))
            and bool(self.live(run.human, run.machine, (), run.place, run.delegation))
        )

    def lives(self, token: Token) -> bool:
        """What introspection says."""
        if token.killed or self.now >= token.ends:
            return False
        if token.human is None:
            return self.is_on(token.machine)
        return self.pair_is_fit(token.machine, token.human) and bool(
            self.live(token.human, token.machine, (), token.place, token.delegation)
        )

    def acts(self, token: Token) -> bool:
        """At our own API."""
        there = token.place is None or self.places[token.place].is_there
        return token.is_own and there and self.lives(token)

    def token_may(self, token: Token, permission: str, path: str) -> bool:
        if token.killed or self.now >= token.ends:
            return False
        if token.human is None:
            return self.alone_may(token.machine, permission, path) and within(token.scopes, [permission])
        return self.pair_may(token.machine, token.human, permission, path, token.scopes, token.delegation)

    def kill(self, who: str | None = None, delegation: int | None = None) -> None:
        for each in (*self.tokens, *self.runs.values()):
            hit = who in {each.human, each.machine} if who else each.delegation == delegation
            each.killed = each.killed or hit
