"""What a decision is told: read from the database as it is, roles inherited, nothing remembered."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.identity import delegations, members, policy, projects
from app.identity.facts import Facts, Place, group_at, load, project_at
from app.identity.facts_cache import BOUND, FactsCache, Key
from app.identity.permissions import Role
from tests.support.components import OPERATOR, on_every_database
from tests.support.effort import count

PLACES = [
    "acme",
    "acme/tools",
    "acme/tools/deep",
    "acme/tools/deep/web",
    "other",
    "other/tools",
    "other/tools/web",
    # Neighbours whose names begin alike.
    "acme/tool",
    "acme/tool/web",
    "acme-tools",
    "acme-tools/web",
]


def read(world, path=None, **who):
    with world.components.database.reading_connection() as connection:
        return load(
            connection, **({"user_id": world.alice, "service_account_id": world.duo} | who), place=path
        )


def place(world, path):
    with world.components.database.reading_connection() as connection:
        project = project_at(connection, path)
        return project if project.exists else group_at(connection, path)


def planted(world):
    for path in ("acme/tools/deep/web", "other/tools/web", "acme/tool/web", "acme-tools/web"):
        world.change(projects.create_project, path)
    return world


@pytest.fixture(scope="module")
def tree(shared_world):
    return planted(shared_world)


def assign(world, given):
    """Alice has these roles in these places, and no others in any of them."""
    with world.components.database.writing() as session:
        for path in PLACES:
            where = members.find_place(session, path)
            by_now = {"by": OPERATOR, "now": world.clock()}
            held = {
                each.source for each in members.members_of(session, where) if each.principal_id == world.alice
            }
            if path in given:
                members.add_member(session, where, "user:alice", given[path].label, **by_now)
            elif path in held:
                members.remove_member(session, where, "user:alice", **by_now)


@settings(max_examples=count(ci=20, proof=500))
@given(given_roles=st.dictionaries(st.sampled_from(PLACES), st.sampled_from(Role)))
def test_the_strongest_role_here_or_above_holds(tree, given_roles):
    assign(tree, given_roles)
    for path in PLACES:
        above = [role for where, role in given_roles.items() if f"{path}/".startswith(f"{where}/")]
        assert read(tree, place(tree, path)).human.role == max(above, default=None), path


@on_every_database
def test_a_role_is_inherited_from_every_group_above(world):
    web = place(planted(world), "acme/tools/deep/web")
    assert read(world, web).human.role is None
    assign(world, {"acme": Role.REPORTER})
    assert read(world, web).human.role is Role.REPORTER
    assign(world, {"acme": Role.REPORTER, "acme/tools": Role.OWNER, "acme/tools/deep": Role.GUEST})
    assert read(world, web).human.role is Role.OWNER
    assert read(world, web).service_account.role is None
    assert read(world, place(world, "acme")).human.role is Role.REPORTER
    assert read(world, place(world, world.project)).human.role is Role.DEVELOPER


@pytest.mark.parametrize(
    ("path", "groups"),
    [(("a/b/c", 1), ["a", "a/b"]), (("a/b", None), ["a", "a/b"]), (("a/b", 1), ["a"]), (("a", None), ["a"])],
)
def test_a_place_inherits_from_the_groups_above_and_a_group_is_its_own(path, groups):
    assert Place(*path).groups == groups


def test_a_role_counts_only_where_a_place_is_asked_about(world):
    assert read(world, place(world, "acme/webapp")).human.role is Role.DEVELOPER
    assert read(world).human.role is None


@pytest.mark.parametrize(
    "path", ["acme/none", "", "acme/../acme", "acme/web\0", "x" * 5000, "acme/%", "Acme/webapp"]
)
def test_a_path_that_names_nothing_is_a_place_that_does_not_exist(shared_world, path):
    where = place(shared_world, path)
    assert not where.exists
    facts = read(shared_world, where)
    assert (facts.human.role, facts.service_account.role) == (None, None)


def test_a_group_is_not_a_project_nor_a_project_a_group(shared_world):
    with shared_world.components.database.reading_connection() as connection:
        assert not project_at(connection, "acme").exists
        assert not group_at(connection, "acme/webapp").exists


def test_a_project_that_was_deleted_since_exists_no_more(world):
    where = place(world, "acme/webapp")
    assert read(world, where).place.exists
    world.change(
        lambda session, **by_now: projects.delete_project(
            session, projects.find_project(session, "acme/webapp"), **by_now
        )
    )
    facts = read(world, where)
    assert facts.place == Place("acme/webapp", where.project_id, exists=False)
    assert facts.human.role is None


@on_every_database
def test_a_project_that_was_renamed_since_inherits_from_where_it_is_now(world):
    stale = place(world, "acme/webapp")
    assign(planted(world), {"acme": Role.OWNER})
    world.change(
        lambda session, **by_now: projects.rename_project(
            session, projects.find_project(session, "acme/webapp"), "other/webapp", **by_now
        )
    )
    facts = read(world, stale)
    assert facts.place == Place("other/webapp", stale.project_id)
    assert facts.human.role is Role.DEVELOPER


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


@on_every_database
def test_of_dead_delegations_only_the_newest_are_read(world):
    """One that was revoked and one that has expired: enough for the reason, however many there were."""
    for _ in range(3):
        world.change(delegations.revoke, revoked := world.delegate())
        expired = world.delegate(life=timedelta(hours=1))
    other = world.delegate(life=timedelta(hours=3))
    world.clock.advance(hours=2)
    found = read(world, now=world.clock()).delegations
    assert {each.id for each in found} == {world.delegation, other, revoked, expired}


def test_why_no_delegation_covers_it_is_told_as_if_all_had_been_read(shared_world):
    """Over a pair of its own, whose delegations end one after the other."""
    world = replace(shared_world, duo=shared_world.new_account("leaving")[0])
    now, reasons = world.clock(), []

    def tell():
        facts = read(world, now=now)
        reasons.append(policy.decide(facts, policy.Question("code.read"), now).conjuncts[2].reason)

    tell()
    given = [world.delegate(account="leaving", life=timedelta(hours=hours)) for hours in (1, 2, 3)]
    tell()
    now += timedelta(hours=2)
    tell()
    world.change(delegations.revoke, given[2])
    tell()
    for number in given[:2]:
        world.change(delegations.revoke, number)
    tell()
    assert reasons == [
        "there is no delegation",
        f"delegation {given[2]} covers it",
        f"delegation {given[2]} covers it",
        "the delegation has expired",
        "the delegation was revoked",
    ]


KEY = Key(1, 2, "project", "acme/webapp")
THERE = Facts(1, 2, None, None, (), Place("acme/webapp", 5))


def test_kept_facts_are_told_again_until_the_bound_and_no_longer(clock):
    cache, loaded = FactsCache(clock), []
    for advance in (0, BOUND.total_seconds() - 0.001, 0.001):
        clock.advance(seconds=advance)
        cache.get(KEY, lambda: loaded.append(clock.now) or THERE)
    assert len(loaded) == 2


def test_their_age_counts_from_before_they_were_read(clock):
    cache, loaded = FactsCache(clock), []

    def slowly():
        loaded.append(clock.now)
        clock.advance(seconds=2)
        return THERE

    for _ in range(2):
        cache.get(KEY, slowly)
    assert len(loaded) == 2


def test_a_clock_that_goes_back_keeps_nothing(clock):
    cache, loaded = FactsCache(clock), []
    for advance in (0, -1):
        clock.advance(seconds=advance)
        cache.get(KEY, lambda: loaded.append(clock.now) or THERE)
    assert len(loaded) == 2


def test_what_is_kept_does_not_grow_without_end(clock):
    cache = FactsCache(clock)
    for number in range(10_000):
        cache.get(Key(number, None, "project", "a/b"), lambda: THERE)
    assert 0 < len(cache._kept) <= 4096


def test_what_is_past_the_bound_is_dropped_when_something_new_is_kept(clock):
    cache = FactsCache(clock)
    for number in range(10):
        cache.get(Key(number, None, "project", "a/b"), lambda: THERE)
    clock.advance(seconds=1)
    cache.get(KEY, lambda: THERE)
    assert list(cache._kept) == [KEY]


def test_nothing_is_kept_of_what_is_not_there(clock):
    cache = FactsCache(clock)
    for number in range(10):
        gone = replace(THERE, place=Place(f"acme/{number}", None, exists=False))
        assert cache.get(Key(1, 2, "project", f"acme/{number}"), lambda gone=gone: gone) is gone
    assert cache._kept == {}


@pytest.mark.parametrize("path", ["a" * 1_000_000, "", "a b", "\0"])
def test_nothing_is_kept_of_what_is_no_path(clock, path):
    """A caller chooses it, up to the size of a request."""
    cache, loaded = FactsCache(clock), []
    for _ in range(2):
        cache.get(Key(1, 2, "project", path), lambda: loaded.append(path) or THERE)
    assert (len(loaded), cache._kept) == (2, {})
