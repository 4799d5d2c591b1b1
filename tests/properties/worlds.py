"""Worlds at random: a hierarchy, people in it, what they delegated; and what then happens to them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.flows.kill import kill
from app.flows.models import ConfigurationVersion
from app.identity import accounts, credentials, delegations, groups, members, projects
from app.identity.cut_offs import CutOffKind
from app.identity.models import Project
from app.secret import Secret
from tests.properties.reference_model import NEEDS, RANK, Delegation, Model, Place, Scopes
from tests.support.components import OPERATOR, World

HUMANS, MACHINES = ("h0", "h1"), ("m0", "m1")
EVERYBODY = HUMANS + MACHINES
ASKED = [*NEEDS, "code.delete"]
MINUTE, DAY = 60.0, 86_400.0


@dataclass(frozen=True)
class Plan:
    """Indices are taken modulo what there is; `happens` comes between two rounds of questions."""

    groups: list[tuple[str, ...]]
    projects: list[tuple[tuple[str, ...], str]]
    roles: dict[tuple[int, str], str]
    at_the_top: tuple[str | None, str | None]
    """Roles of `h0` and `m0` in the outermost group."""
    alone: bool
    delegations: list[tuple[str, str, Scopes | None, int | None, float, bool]]
    disabled: set[str]
    asks: list[tuple[str, str | None, Scopes]]
    starts: list[tuple[str, str, int]]
    flow_scopes: Scopes
    flow_reads_a_secret: bool
    seen: list[str]
    happens: list[tuple[Any, ...]]


def mostly(good: Any, other: Any) -> st.SearchStrategy[Any]:
    """Nine in ten are good, so that one fault alone decides often enough."""
    return st.sampled_from([good] * 9 + [None]).flatmap(lambda it: other if it is None else st.just(it))


segments = st.lists(st.sampled_from(["a", "b", "a-b"]), max_size=3).map(tuple)
indices = st.integers(0, 20)
scope_lists = st.lists(
    st.sampled_from([*["api"] * 6, "code.read", "code.write", "run.read", "secret.read", "member.manage"]),
    min_size=1,
    max_size=3,
    unique=True,
).map(tuple)
humans, machines = mostly("h0", st.sampled_from(HUMANS)), mostly("m0", st.sampled_from(MACHINES))
GOOD = ("h0", "m0", None, None, DAY, False)
somebody = st.sampled_from(["h0", "m0", *EVERYBODY])
events = st.one_of(
    st.tuples(st.sampled_from(["disable", "enable"]), somebody),
    st.tuples(st.just("revoke"), indices),
    st.tuples(st.just("delete"), indices),
    st.tuples(st.just("rename"), indices, segments),
    st.tuples(st.just("member"), indices, somebody, st.sampled_from([None, *RANK])),
    st.tuples(st.just("kill"), somebody),
    st.tuples(st.just("kill_delegation"), indices),
    st.tuples(st.just("delegate"), scope_lists),
    st.tuples(st.just("wait"), st.sampled_from([MINUTE, 12 * MINUTE])),
)
plans = st.builds(
    Plan,
    groups=st.lists(segments, max_size=2),
    projects=st.lists(st.tuples(segments, st.sampled_from("pq")), min_size=1, max_size=3, unique=True),
    roles=st.dictionaries(
        st.tuples(indices, st.sampled_from(EVERYBODY)), st.sampled_from([*RANK]), max_size=6
    ),
    at_the_top=st.tuples(*[mostly("owner", st.sampled_from([None, *RANK]))] * 2),
    alone=st.booleans(),
    delegations=st.lists(
        st.tuples(
            humans,
            machines,
            st.none() | scope_lists,
            mostly(-1, indices).map(lambda it: None if it == -1 else it),
            mostly(DAY, st.sampled_from([MINUTE, 13 * MINUTE])),
            mostly(0, st.just(1)).map(bool),
        ),
        max_size=3,
    ).flatmap(lambda some: mostly([GOOD, *some], st.just(some))),
    disabled=mostly(frozenset(), st.sets(st.sampled_from(EVERYBODY), max_size=2)),
    asks=st.lists(
        st.tuples(machines, mostly("h0", st.sampled_from([None, *EVERYBODY])), st.just(()) | scope_lists),
        min_size=3,
        max_size=4,
    ),
    starts=st.lists(st.tuples(machines, mostly("h0", st.just("h1")), indices), min_size=4, max_size=4),
    flow_scopes=st.just(()) | scope_lists,
    flow_reads_a_secret=st.booleans(),
    seen=st.lists(st.sampled_from(ASKED), min_size=2, max_size=2, unique=True),
    happens=st.lists(events, min_size=1, max_size=4),
)

CONFIGURATION = """\
flows: {{fix-ci: {{script: ["true"], access_token: {{scopes: [{scopes}]}}}}}}
"""
SECRET = """\
id_tokens: {VAULT_ID_TOKEN: {aud: https://vault.example.com}}
secrets: {KEY: {vault: ops/key/value}}
"""


@dataclass
class Inhabited:
    """A plan come true, and the model that is told the same."""

    world: World
    plan: Plan
    model: Model
    root: str
    numbers: dict[str, int]
    secrets: dict[str, Secret]
    personal: dict[str, Secret] = field(default_factory=dict)
    projects: dict[int, int] = field(default_factory=dict)
    """Number of each place that is a project."""
    paths: list[str] = field(default_factory=list)
    """Of projects, as they were at first."""

    def named(self, who: str) -> str:
        return f"{'user' if who in HUMANS else 'service_account'}:{self.numbers[who]}"

    def project_at(self, index: int) -> int:
        known = list(self.projects)
        return known[index % len(known)]

    def happen(self, event: tuple[Any, ...]) -> None:
        what, *more = event
        getattr(self, f"_{what}")(*more)

    def _do(self, do: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        return self.world.change(do, *arguments, **keywords)

    def _set_active(self, who: str, *, active: bool) -> None:
        def change(session: Session, **by_now: Any) -> None:
            if who in HUMANS:
                user = accounts.find_user(session, self.named(who))
                accounts.set_user_active(session, user, active=active, **by_now)
            else:
                account = accounts.find_service_account(session, self.named(who))
                accounts.set_service_account_active(session, account, active=active, **by_now)

        self._do(change)
        (self.model.disabled.discard if active else self.model.disabled.add)(who)

    def _disable(self, who: str) -> None:
        self._set_active(who, active=False)

    def _enable(self, who: str) -> None:
        self._set_active(who, active=True)

    def _kill(self, who: str) -> None:
        kind = CutOffKind.USER if who in HUMANS else CutOffKind.SERVICE_ACCOUNT
        self._do(kill, kind, self.named(who), reason="a test")
        self.model.kill(who)
        self.model.disabled.add(who)
        self.personal.pop(who, None)

    def _some_delegation(self, index: int) -> int | None:
        known = list(self.model.delegations)
        return known[index % len(known)] if known else None

    def _revoke(self, index: int) -> None:
        if number := self._some_delegation(index):
            self._do(delegations.revoke, number)
            self.model.delegations[number].revoked = True

    def _kill_delegation(self, index: int) -> None:
        if number := self._some_delegation(index):
            self._do(kill, CutOffKind.DELEGATION, str(number), reason="a test")
            self.model.delegations[number].revoked = True
            self.model.kill(delegation=number)

    def _delegate(self, scopes: Scopes) -> None:
        def change(session: Session, **by_now: Any) -> None:
            _grant(session, self, ("h0", "m0", scopes, None, DAY, False), by_now)

        if "m0" not in self.model.alone:
            self._do(change)

    def _delete(self, index: int) -> None:
        place = self.project_at(index)
        if self.model.places[place].is_there:
            self._do(
                lambda session, **by: projects.delete_project(session, self._project(session, place), **by)
            )
            self.model.places[place].is_there = False

    def _rename(self, index: int, into: tuple[str, ...]) -> None:
        place = self.project_at(index)
        path = "/".join([self.root, *into, f"renamed{place}"])
        if self.model.places[place].is_there and self.model.places[place].path != path:
            self._do(
                lambda session, **by: projects.rename_project(
                    session, self._project(session, place), path, **by
                )
            )
            self.model.places[place].path = path

    def _member(self, index: int, who: str, role: str | None) -> None:
        place = index % len(self.model.places)
        found, named = self.model.places[place], self.named(who)
        if not found.is_there or (role is None and (place, who) not in self.model.roles):
            return

        def change(session: Session, **by_now: Any) -> None:
            where = members.find_place(session, found.path)
            if role is None:
                members.remove_member(session, where, named, **by_now)
            else:
                members.add_member(session, where, named, role, **by_now)

        self._do(change)
        if role is None:
            del self.model.roles[place, who]
        else:
            self.model.roles[place, who] = role

    def _wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds=seconds)
        self.model.now += seconds

    def _project(self, session: Session, place: int) -> Project:
        return session.get_one(Project, self.projects[place])


def inhabit(world: World, plan: Plan, number: int) -> Inhabited:
    """All in one transaction: it costs a tenth of what one each would."""
    root = f"w{number}"
    with world.components.database.writing() as session:
        by_now = {"by": OPERATOR, "now": world.clock()}
        here = Inhabited(world, plan, Model([], {}, {"m1"} if plan.alone else set()), root, {}, {})
        for who in EVERYBODY:
            _appear(session, here, who, by_now)
        _settle(session, here, by_now)
        top = {(0, who): role for who, role in zip(("h0", "m0"), plan.at_the_top, strict=True) if role}
        for (place, principal), role in (top | plan.roles).items():
            index = place % len(here.model.places)
            here.model.roles[index, principal] = role
            where = members.find_place(session, here.model.places[index].path)
            members.add_member(session, where, here.named(principal), role, **by_now)
            session.flush()
        for each in plan.delegations:
            if each[1] not in here.model.alone:
                _grant(session, here, each, by_now)
    for who in sorted(plan.disabled):
        here.happen(("disable", who))
    return here


def _appear(session: Session, here: Inhabited, who: str, by_now: dict[str, Any]) -> None:
    name = f"{who}-{here.root}"
    if who in HUMANS:
        user = accounts.create_user(session, name, f"{name}@example.com", is_admin=False, **by_now)
        here.numbers[who] = user.id
        _, here.personal[who] = credentials.create_personal_access_token(
            session, user, ["api"], expires_at=None, **by_now
        )
    else:
        is_composite = who not in here.model.alone
        account = accounts.create_service_account(session, name, is_composite=is_composite, **by_now)
        here.numbers[who] = account.id
        _, here.secrets[who] = credentials.create_client_secret(session, account, expires_at=None, **by_now)


def _settle(session: Session, here: Inhabited, by_now: dict[str, Any]) -> None:
    model, paths = here.model, {here.root}
    text = CONFIGURATION.format(scopes=", ".join(here.plan.flow_scopes))
    body = (text + SECRET * here.plan.flow_reads_a_secret).encode()
    for lineage in here.plan.groups:
        paths.add("/".join([here.root, *lineage]))
    made = []
    for lineage, name in here.plan.projects:
        project = projects.create_project(session, "/".join([here.root, *lineage, name]), **by_now)
        made.append(project)
        paths.add(project.group.path)
    for path in sorted(paths):
        groups.ensure_group(session, path, **by_now)
        model.places.append(Place(path, is_project=False))
    for project in made:
        here.projects[len(model.places)] = project.id
        model.places.append(Place(project.path, is_project=True))
        here.paths.append(project.path)
        session.add(
            ConfigurationVersion(
                project_id=project.id,
                sha256=hashlib.sha256(body).hexdigest(),
                body=body,
                created_by=OPERATOR.name,
                created_at=by_now["now"],
            )
        )


def _grant(session: Session, here: Inhabited, given: tuple[Any, ...], by_now: dict[str, Any]) -> None:
    human, machine, scopes, index, life, revoked = given
    place = None if index is None else here.project_at(index)
    row = delegations.grant(
        session,
        accounts.find_user(session, here.named(human)),
        accounts.find_service_account(session, here.named(machine)),
        scopes=scopes,
        project=None if place is None else here._project(session, place),
        expires_at=here.world.clock() + timedelta(seconds=life),
        **by_now,
    )
    ends = here.model.now + life
    here.model.delegations[row.id] = Delegation(human, machine, scopes, place, ends, revoked)
    if revoked:
        delegations.revoke(session, row.id, **by_now)
