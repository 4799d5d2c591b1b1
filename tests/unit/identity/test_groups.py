"""Groups nest by path, and roles hold in everything below."""

import pytest
from sqlalchemy import select

from app.errors import Conflict, InvalidInput, NotFound
from app.identity import groups, members, projects
from app.identity.models import Group
from app.identity.permissions import Role


def add(world, path, principal, role):
    return world.change(
        lambda session, **by_now: members.add_member(
            session, members.find_place(session, path), principal, role, **by_now
        )
    )


def remove(world, path, principal):
    return world.change(
        lambda session, **by_now: members.remove_member(
            session, members.find_place(session, path), principal, **by_now
        )
    )


def listed(world, path):
    with world.components.database.reading() as session:
        found = members.members_of(session, members.find_place(session, path))
    return [(each.name, each.role, each.source, each.is_effective) for each in found]


def test_missing_groups_are_made_from_the_outside_in(world):
    world.change(projects.create_project, "a/b/c/web")
    with world.components.database.reading() as session:
        assert [each.path for each in groups.listed(session)] == ["a", "a/b", "a/b/c", "acme"]
    made = [event.detail["group"] for event in world.events("identity:group:create")]
    assert made == ["a/b/c", "a/b", "a", "acme"]


def test_a_group_is_made_once(world):
    world.change(groups.create_group, "a/b")
    with pytest.raises(Conflict, match="taken by a group"):
        world.change(groups.create_group, "a/b")
    world.change(projects.create_project, "a/b/web")
    with world.components.database.reading() as session:
        assert len(list(session.scalars(select(Group).where(Group.path == "a/b")))) == 1


def test_own_and_inherited_roles_are_listed_with_where_they_come_from(world):
    world.change(projects.create_project, "acme/tools/cli")
    add(world, "acme", "user:alice", "maintainer")
    add(world, "acme/tools/cli", "user:alice", "guest")
    add(world, "acme/tools", "service_account:duo", "reporter")
    assert listed(world, "acme/tools/cli") == [
        ("duo", Role.REPORTER, "acme/tools", True),
        ("alice", Role.MAINTAINER, "acme", True),
        ("alice", Role.GUEST, "acme/tools/cli", False),
    ]
    assert listed(world, "acme/tools") == [
        ("duo", Role.REPORTER, "acme/tools", True),
        ("alice", Role.MAINTAINER, "acme", True),
    ]
    assert listed(world, "acme") == [("alice", Role.MAINTAINER, "acme", True)]


def test_of_two_equal_roles_the_nearer_is_the_effective_one(world):
    add(world, "acme", "user:alice", "developer")
    rows = [row for row in listed(world, "acme/webapp") if row[0] == "alice"]
    assert [(source, effective) for _, _, source, effective in rows] == [
        ("acme/webapp", True),
        ("acme", False),
    ]


def test_a_neighbour_with_a_longer_name_inherits_nothing(world):
    world.change(projects.create_project, "acme-labs/web")
    add(world, "acme", "user:alice", "owner")
    assert listed(world, "acme-labs/web") == []


def test_adding_again_sets_the_role(world):
    for role in ("owner", "guest"):
        add(world, "acme", "user:alice", role)
    assert listed(world, "acme") == [("alice", Role.GUEST, "acme", True)]
    told = [(event.user, event.project, event.detail) for event in world.events("identity:member:add")[:2]]
    user = f"user:{world.alice}"
    assert told == [(user, None, {"role": role, "group": "acme"}) for role in ("guest", "owner")]


def test_a_role_is_removed_where_it_was_given(world):
    add(world, "acme", "user:alice", "owner")
    remove(world, "acme/webapp", "user:alice")
    with pytest.raises(NotFound, match="is not a member of acme/webapp itself"):
        remove(world, "acme/webapp", "user:alice")
    assert ("alice", Role.OWNER, "acme", True) in listed(world, "acme/webapp")
    remove(world, "acme", "user:alice")
    assert [name for name, *_ in listed(world, "acme/webapp")] == ["duo"]


@pytest.mark.parametrize("path", ["nowhere", "acme/nothing", ""])
def test_nobody_is_a_member_of_what_does_not_exist(shared_world, path):
    with pytest.raises(NotFound, match="no project or group"):
        add(shared_world, path, "user:alice", "guest")


@pytest.mark.parametrize(
    ("principal", "role", "refusal"),
    [
        ("user:nobody", "guest", NotFound),
        ("service_account:alice", "guest", NotFound),
        ("alice", "guest", InvalidInput),
        ("group:acme", "guest", InvalidInput),
        ("user:alice", "king", InvalidInput),
    ],
)
def test_who_and_as_what_must_exist(shared_world, principal, role, refusal):
    with pytest.raises(refusal):
        add(shared_world, "acme", principal, role)
