"""What a decision is told: read from the database as it is, roles inherited from the groups above."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from app.identity import projects
from app.identity.facts import Place, load
from app.identity.models import Group, GroupMember
from app.identity.permissions import Role
from tests.support.components import NOW, on_every_database


def read(world, place=None, **who):
    parties = {"user_id": world.alice, "service_account_id": world.duo} | who
    with world.components.database.reading_connection() as connection:
        return load(connection, **parties, place=place)


def at(world, path):
    with world.components.database.reading() as session:
        return Place(path, projects.find_project(session, path).id)


def in_group(world, path, role):
    """Alice's role in a group, which is made if need be."""
    with world.components.database.writing() as session:
        group = session.scalar(select(Group).where(Group.path == path)) or Group(path=path, created_at=NOW)
        session.add(group)
        session.flush()
        row = {"group_id": group.id, "principal_id": world.alice, "role": role.label}
        session.execute(insert(GroupMember).values(row))


@pytest.mark.parametrize(
    ("path", "groups"),
    [(("a/b/c", 1), ["a", "a/b"]), (("a/b", None), ["a", "a/b"]), (("a/b", 1), ["a"]), (("a", None), ["a"])],
)
def test_a_place_inherits_from_the_groups_above_and_a_group_is_its_own(path, groups):
    assert Place(*path).groups == groups


@on_every_database
def test_the_strongest_role_here_or_above_holds(world):
    world.change(projects.create_project, "acme/tools/deep/web")
    web = at(world, "acme/tools/deep/web")
    assert read(world, web).human.role is None
    in_group(world, "acme", Role.REPORTER)
    assert read(world, web).human.role is Role.REPORTER
    in_group(world, "acme/tools", Role.OWNER)
    in_group(world, "acme/tools/deep", Role.GUEST)
    assert read(world, web).human.role is Role.OWNER
    assert read(world, web).service_account.role is None
    assert read(world, Place("acme/tools", None)).human.role is Role.OWNER
    assert read(world, Place("acme", None)).human.role is Role.REPORTER
    assert read(world, at(world, world.project)).human.role is Role.DEVELOPER


def test_a_role_does_not_reach_a_neighbour_whose_name_begins_alike(world):
    for path in ("acme-tools/web", "acme/tool/web"):
        world.change(projects.create_project, path)
    in_group(world, "acme", Role.GUEST)
    in_group(world, "acme/to", Role.OWNER)
    assert read(world, at(world, "acme-tools/web")).human.role is None
    assert read(world, at(world, "acme/tool/web")).human.role is Role.GUEST


def test_a_role_counts_only_where_a_place_is_asked_about(world):
    assert read(world, at(world, world.project)).human.role is Role.DEVELOPER
    assert read(world).human.role is None


def test_a_human_is_a_human_and_an_account_an_account(shared_world):
    crossed = read(shared_world, user_id=shared_world.duo, service_account_id=shared_world.alice)
    assert (crossed.human, crossed.service_account) == (None, None)
    assert read(shared_world, user_id=999, service_account_id=None).human is None


@on_every_database
def test_the_widest_and_longest_delegation_comes_first(world):
    narrow = world.delegate(scopes=["code.read"], life=timedelta(days=1))
    longer = world.delegate(scopes=["code.read"], life=timedelta(days=60))
    assert [(each.id, each.scopes) for each in read(world).delegations] == [
        (longer, ("code.read",)),
        (world.delegation, None),
        (narrow, ("code.read",)),
    ]
