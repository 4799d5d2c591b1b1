"""Which projects and groups an identity may see: a page at a time, by number, each by the one decision."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.identity.facts import Facts, Party, Place
from app.identity.models import Group, GroupMember, Member, Project
from app.identity.permissions import Role, role_named
from app.identity.policy import Question, decide

Seen = TypeVar("Seen", Project, Group)


@dataclass(frozen=True)
class Page(Generic[Seen]):
    """``after``: the number behind which the next page begins, or ``None`` at the end; one may be short."""

    rows: list[Seen]
    after: int | None


def projects(
    session: Session, known: Facts | None, question: Question, now: datetime, *, after: int, limit: int
) -> Page[Project]:
    """``known``: who asks, without a place; ``None`` sees all."""
    query = select(Project).where(Project.id > after, *candidates(known, question))
    rows = session.scalars(query.order_by(Project.id).limit(limit)).all()
    return _page(session, rows, known, question, now, limit)


def candidates(known: Facts | None, question: Question) -> list[ColumnElement[bool]]:
    """What holds of every project that may be seen, for a query over ``Project``; ``allowed`` decides."""
    found: list[ColumnElement[bool]] = [Project.deleted_at.is_(None)]
    if (reach := _reach(known, question)) is not None:
        found.append(Project.id.in_(reach))
    for number in _parties(known):
        own = select(Member.project_id).where(Member.principal_id == number)
        found.append(or_(Project.id.in_(own), _in_groups_of(number, Project.path)))
    return found


def groups(
    session: Session, known: Facts | None, question: Question, now: datetime, *, after: int, limit: int
) -> Page[Group]:
    """As above; what is limited to projects covers no group."""
    if _reach(known, question) is not None:
        return Page([], None)
    query = select(Group).where(Group.id > after)
    for number in _parties(known):
        own = select(GroupMember.group_id).where(GroupMember.principal_id == number)
        query = query.where(or_(Group.id.in_(own), _in_groups_of(number, Group.path)))
    rows = session.scalars(query.order_by(Group.id).limit(limit)).all()
    return _page(session, rows, known, question, now, limit)


def _reach(known: Facts | None, question: Question) -> set[int] | None:
    """Projects to which the token is limited, or the delegations that a pair may live from; ``None``: neither
    is.
    """
    if question.project_id is not None:
        return {question.project_id}
    if known is None or known.user_id is None or known.service_account_id is None:
        return None
    found = [each.project_id for each in known.delegations if question.delegation_id in {None, each.id}]
    limits = {number for number in found if number is not None}
    return None if None in found else limits


def _parties(known: Facts | None) -> list[int]:
    found = (known.user_id, known.service_account_id) if known else ()
    return [number for number in found if number is not None]


def _in_groups_of(number: int, path: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Whether the path lies in a group that has this member."""
    above = Group.__table__.alias()
    return exists().where(
        GroupMember.principal_id == number,
        GroupMember.group_id == above.c.id,
        func.substr(path, 1, func.length(above.c.path) + 1) == above.c.path + "/",
    )


def _page(
    session: Session,
    rows: Sequence[Seen],
    known: Facts | None,
    question: Question,
    now: datetime,
    limit: int,
) -> Page[Seen]:
    after = rows[-1].id if len(rows) == limit else None
    return Page(list(rows) if known is None else allowed(session, rows, known, question, now), after)


def allowed(
    session: Session, rows: Sequence[Seen], known: Facts, question: Question, now: datetime
) -> list[Seen]:
    """Those of the rows where the question is answered with yes."""
    places = [Place(row.path, row.id if isinstance(row, Project) else None) for row in rows]
    found = zip(rows, _there(session, known, places), strict=True)
    return [row for row, facts in found if decide(facts, question, now).allowed]


def _there(session: Session, known: Facts, places: Sequence[Place]) -> list[Facts]:
    """The same parties at each place, with the role that each has there."""
    numbers = _parties(known)
    in_groups = (
        select(GroupMember.principal_id, GroupMember.role, Group.path)
        .join(Group, Group.id == GroupMember.group_id)
        .where(GroupMember.principal_id.in_(numbers))
    )
    here = [place.project_id for place in places]
    in_projects = (
        select(Member.principal_id, Member.role, Project.path)
        .join(Project, Project.id == Member.project_id)
        .where(Member.principal_id.in_(numbers), Member.project_id.in_(here))
    )
    given: dict[str, dict[int, Role]] = defaultdict(dict)
    for number, label, path in [*session.execute(in_groups), *session.execute(in_projects)]:
        if (role := role_named(label)) is not None:
            given[path][number] = role
    return [
        replace(
            known,
            human=_at(known.human, place, given),
            service_account=_at(known.service_account, place, given),
            place=place,
        )
        for place in places
    ]


def _at(party: Party | None, place: Place, given: dict[str, dict[int, Role]]) -> Party | None:
    if party is None:
        return None
    roles = [given[path].get(party.id) for path in {*place.groups, place.path}]
    return replace(party, role=max((role for role in roles if role is not None), default=None))
