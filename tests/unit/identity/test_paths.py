"""One namespace for projects and groups; what a project leaves behind is no other's who could pass for it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from app.errors import Conflict, InvalidInput, NotFound
from app.identity import groups, projects
from app.identity.models import Group, Project
from app.identity.paths import RESERVED
from tests.support.components import on_every_database

GOOD = ["acme/shop", "a/b", "acme/tools/web-app_2.0", "0/9", "a/" + "x" * 63]
BAD = [
    *("", "/", "acme", "acme/", "/acme", "acme//webapp", "Acme/webapp", "acme/web app", "acme/webapp\n"),
    *(
        "acme/.git",
        "acme/-x",
        "acme/x.",
        "acmé/x",
        "acme/x\0",
        "a/" + "x" * 64,
        "a/" * 60 + "b",
        "acme/..",
        "a:b/c",
    ),
]


@pytest.mark.parametrize("path", GOOD)
def test_a_good_path_is_taken(world, path):
    assert world.change(projects.create_project, path).path == path


@pytest.mark.parametrize("path", BAD)
def test_a_bad_path_is_refused(shared_world, path):
    with pytest.raises(InvalidInput, match="path: write GROUP/PROJECT"):
        shared_world.change(projects.create_project, path)


@pytest.mark.parametrize("path", [each for each in BAD if each != "acme"])
def test_a_bad_path_is_no_groups_either(shared_world, path):
    with pytest.raises(InvalidInput, match="path: write GROUP"):
        shared_world.change(groups.create_group, path)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_what_the_api_says_behind_a_path_is_no_part_of_one(shared_world, name):
    for make, path in (
        (projects.create_project, f"acme/{name}"),
        (projects.create_project, f"acme/{name}/web"),
        (groups.create_group, f"acme/{name}"),
    ):
        with pytest.raises(InvalidInput, match=f"path: {name} is what the API calls"):
            shared_world.change(make, path)
    assert shared_world.change(projects.create_project, f"{name}/web").path == f"{name}/web"


def find(world, path):
    with world.components.database.reading() as session:
        return projects.find_project(session, path)


def rename(world, old, new):
    return world.change(
        lambda session, **by_now: projects.rename_project(
            session, projects.find_project(session, old), new, **by_now
        )
    )


def delete(world, path):
    return world.change(
        lambda session, **by_now: projects.delete_project(
            session, projects.find_project(session, path), **by_now
        )
    )


def test_a_project_cannot_have_a_groups_path_nor_a_group_a_projects(world):
    with pytest.raises(Conflict, match="taken by a project"):
        world.change(groups.create_group, "acme/webapp")
    with pytest.raises(Conflict, match="taken by a project"):
        world.change(projects.create_project, "acme/webapp/inner")
    world.change(groups.create_group, "acme/tools")
    with pytest.raises(Conflict, match="taken by a group"):
        world.change(projects.create_project, "acme/tools")
    with pytest.raises(Conflict, match="taken by a group"):
        rename(world, "acme/webapp", "acme/tools")


def test_nothing_of_a_refused_project_remains(world):
    with pytest.raises(Conflict):
        world.change(projects.create_project, "acme/webapp/a/b")
    with world.components.database.reading() as session:
        assert list(session.scalars(select(Group.path))) == ["acme"]


def test_a_renamed_project_is_the_same_project_elsewhere(world):
    number = find(world, "acme/webapp").id
    rename(world, "acme/webapp", "shops/de/web")
    renamed = find(world, "shops/de/web")
    assert renamed.id == number
    assert renamed.group.path == "shops/de"
    with pytest.raises(NotFound):
        find(world, "acme/webapp")
    event = world.events("identity:project:rename")[0]
    assert (event.project, event.detail) == ("shops/de/web", {"id": number, "from": "acme/webapp"})


def set_subject(world, path, components):
    return world.change(
        lambda session, **by_now: projects.set_subject(
            session, projects.find_project(session, path), components, **by_now
        )
    )


LEAVE = [lambda world: rename(world, "acme/webapp", "acme/shop"), lambda world: delete(world, "acme/webapp")]
BELONGED = "path: belonged to another project"
BY_NUMBER = ("project_id", "flow")


@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("take", ["acme/webapp", "acme/webapp/inner"])
def test_an_old_path_is_nobodys_whose_subject_begins_with_the_path(world, leave, take):
    world.change(projects.create_project, "acme/other")
    leave(world)
    for attempt in (
        lambda: world.change(projects.create_project, take),
        lambda: world.change(groups.create_group, take),
        lambda: rename(world, "acme/other", take),
    ):
        with pytest.raises(Conflict, match=BELONGED):
            attempt()


@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("arrive", ["create", "rename"])
def test_an_old_path_is_another_projects_whose_subject_begins_with_its_number(world, leave, arrive):
    old = find(world, "acme/webapp").id
    leave(world)
    if arrive == "create":
        world.change(projects.create_project, "acme/webapp", subject=BY_NUMBER)
    else:
        world.change(projects.create_project, "acme/other", subject=BY_NUMBER)
        rename(world, "acme/other", "acme/webapp")
    assert find(world, "acme/webapp").id > old
    with pytest.raises(Conflict, match=BELONGED):
        set_subject(world, "acme/webapp", ["project_path", "flow"])
    set_subject(world, "acme/webapp", ["project_id", "flow", "user_id"])


def test_a_deleted_project_whose_path_was_taken_is_kept_under_no_path_that_there_can_be(world):
    old = find(world, "acme/webapp").id
    delete(world, "acme/webapp")
    world.change(projects.create_project, "acme/webapp", subject=BY_NUMBER)
    with world.components.database.reading() as session:
        assert session.get(Project, old).path == f"acme/webapp/-{old}"
    with pytest.raises(InvalidInput):
        world.change(projects.create_project, f"acme/webapp/-{old}")


def test_a_project_may_take_back_its_own_path_unless_another_has_had_it(world):
    rename(world, "acme/webapp", "acme/shop")
    rename(world, "acme/shop", "acme/webapp")
    rename(world, "acme/webapp", "acme/third")
    for path in ("acme/webapp", "acme/shop"):
        with pytest.raises(Conflict, match=BELONGED):
            world.change(projects.create_project, path)
    world.change(projects.create_project, "acme/webapp", subject=BY_NUMBER)
    rename(world, "acme/webapp", "acme/fourth")
    with pytest.raises(Conflict, match=BELONGED):
        rename(world, "acme/third", "acme/webapp")
    rename(world, "acme/third", "acme/shop")
    set_subject(world, "acme/shop", BY_NUMBER)
    rename(world, "acme/shop", "acme/webapp")


def test_a_project_is_not_renamed_to_what_it_is_called(world):
    with pytest.raises(InvalidInput, match="already"):
        rename(world, "acme/webapp", "acme/webapp")


def test_a_deleted_project_is_found_and_listed_no_more_but_kept(world):
    number = find(world, "acme/webapp").id
    delete(world, "acme/webapp")
    with pytest.raises(NotFound):
        find(world, "acme/webapp")
    with world.components.database.reading() as session:
        assert projects.listed(session) == []
        assert session.get(Project, number).deleted_at == world.clock()
    event = world.events("identity:project:delete")[0]
    assert (event.project, event.detail) == ("acme/webapp", {"id": number})


@on_every_database
@pytest.mark.usefixtures("unhurried")
def test_of_many_who_want_one_path_at_once_one_gets_it(world):
    def take(index):
        make = projects.create_project if index % 2 else groups.create_group
        try:
            world.change(make, "acme/wanted")
        except Conflict:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(16))) == 1
