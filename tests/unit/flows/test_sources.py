"""Projects that have their configuration from Git: what is read when, what is refused, and what is told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Conflict, Denied, InvalidInput, NotFound, Overtaken
from app.flows import configurations, sources
from app.flows.configuration import ConfigurationError
from app.flows.models import ConfigurationVersion
from app.flows.runs import find_run
from app.flows.source_reader import SourceReader
from app.flows.sources import SourceUnavailable, Wanted, ref_claims
from app.flows.start import StartRequest, start
from app.identity import members
from app.identity.projects import find_project
from tests.support.components import OPERATOR, on_every_database
from tests.support.git_server import read_git_at_leisure

ONE = "flows: {fix-ci: {script: [make test]}}\n"
TWO = "flows: {fix-ci: {script: [make check]}}\n"
STORED = b"flows: {fix-ci: {script: [stored]}}\n"


@pytest.fixture
def repository(git_host, world):
    read_git_at_leisure(world.components)
    repository = git_host.repository()
    repository.commit(ONE)
    return repository


@pytest.fixture
def project(world):
    return world.project


def set_source(world, repository, branch="main", protected=None):
    wanted = Wanted.checked(repository.url, branch, protected)
    return world.components.source_reader.set(world.project, wanted, OPERATOR)


def request(world, **other):
    asked = {"project": world.project, "flow": "fix-ci", "user": "alice", "service_account": "duo"}
    return StartRequest(**asked | {"inputs": {}, "source": "cli"} | other)


def started(world, **other) -> ConfigurationVersion:
    """The version that a flow which starts now runs by."""
    number = world.components.starting.start(request(world, **other), OPERATOR).run_id
    with world.components.database.reading() as session:
        return session.get_one(ConfigurationVersion, find_run(session, number).configuration_id)


def in_force(world) -> ConfigurationVersion:
    with world.components.database.reading() as session:
        return configurations.newest(session, find_project(session, world.project))


def project_id(world) -> int:
    with world.components.database.reading() as session:
        return find_project(session, world.project).id


def remove(world):
    world.change(
        lambda session, **by_now: sources.remove_source(
            session, find_project(session, world.project), **by_now
        )
    )


def store(world):
    parts = world.components
    return configurations.store(parts.database, parts.clock, world.project, STORED, OPERATOR)


def versions(world) -> int:
    with world.components.database.reading() as session:
        return session.query(ConfigurationVersion).count()


# What is asked for


@pytest.mark.parametrize(
    "url",
    [
        "https://alice:hunter2@git.example.com/acme/webapp.git",
        "https://hunter2@git.example.com/acme/webapp.git",
        "ssh://git.example.com/acme/webapp.git",
        "git@git.example.com:acme/webapp.git",
        "ext::sh -c hunter2",
        "file:///etc",
        "git://git.example.com/acme/webapp.git",
        "/srv/git/webapp.git",
        "--upload-pack=hunter2",
        "hunter2@git.example.com:2222/acme/webapp.git",
        "https://git.example.com",
        "https://git.example.com/a/../b.git",
        "https://git.example.com/webapp.git?token=hunter2",
        "https://git.example.com/webapp.git\nhunter2",
        "https://git.example.com/-c core.x",
        "",
    ],
)
def test_a_url_that_is_none_of_a_public_repository_is_refused_and_not_repeated(url):
    with pytest.raises(InvalidInput) as refusal:
        Wanted.checked(url, "main", None)
    assert str(refusal.value).startswith("git: must ")
    assert "hunter2" not in str(refusal.value)
    assert "vault" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "git@github.com:a/b.git",
        "git@[::1]:a/b.git",
        "ssh://git@github.com/a/b.git",
        "git+ssh://github.com/a/b",
    ],
)
def test_a_url_of_ssh_is_told_so(url):
    with pytest.raises(InvalidInput, match="write its https URL, such as https://"):
        Wanted.checked(url, "main", None)


@pytest.mark.parametrize("branch", ["main", "release/2.x", "a-b_c", "feature/#12", "x@y", "2026.11"])
def test_a_branch(branch):
    assert Wanted.checked("https://git.example.com/a.git", branch, None).protected == (branch,)


@pytest.mark.parametrize(
    "branch",
    [
        *("", "-x", "--upload-pack=x", "a..b", "a//b", "/a", "a/", "a.", ".a", "a/.b", "a.lock", "a.lock/b"),
        *("a b", "a:b", "a~1", "a^", "a?", "a*", "a[b", "a\\b", "a@{1}", "@", "é", "a\n", "a\0", "x" * 201),
    ],
)
@pytest.mark.parametrize("key", ["branch", "protected"])
def test_what_is_no_branch(branch, key):
    given = ("main", [branch]) if key == "protected" else (branch, None)
    with pytest.raises(InvalidInput, match=f"^{key}: must be a branch"):
        Wanted.checked("https://git.example.com/a.git", *given)


@pytest.mark.parametrize("key", ["branch", "protected"])
def test_a_branch_is_named_without_its_prefix(key):
    given = ("main", ["refs/heads/a/b"]) if key == "protected" else ("refs/heads/a/b", None)
    with pytest.raises(InvalidInput, match=f"^{key}: leave refs/heads/ out: write a/b$"):
        Wanted.checked("https://git.example.com/a.git", *given)


@given(st.text(max_size=30))
def test_whatever_is_taken_for_a_branch_is_one_to_git_too(text):
    """git-check-ref-format(1)."""
    try:
        Wanted.checked("https://git.example.com/a.git", text, None)
    except InvalidInput:
        return
    assert text.isascii()
    assert not set(text) & set(" ~^:?*[\\\x7f")
    assert not any(each in text for each in ("..", "//", "@{"))
    assert not any(part.startswith(".") or part.endswith(".lock") for part in text.split("/"))
    assert not text.endswith(("/", "."))
    assert not text.startswith(("-", "/"))
    assert text not in {"", "@"}


# What a flow runs by


@on_every_database
def test_a_start_runs_by_the_commit_where_the_branch_is(world, repository):
    set_source(world, repository)
    first = started(world)
    assert (first.body.decode(), first.commit_sha) == (ONE, repository.tip())
    moved = repository.commit(TWO)
    second = started(world)
    assert (second.body.decode(), second.commit_sha) == (TWO, moved)
    assert second.id > first.id


def test_history_that_was_rewritten_is_the_truth(world, repository):
    set_source(world, repository)
    first = repository.tip()
    repository.commit(TWO)
    started(world)
    repository.git("reset", "--quiet", "--hard", first)
    back = started(world)
    assert (back.commit_sha, back.body.decode(), in_force(world).id) == (first, ONE, back.id)


def test_a_commit_that_was_read_makes_no_second_version(world, repository, git_host):
    set_source(world, repository)
    git_host.asked.clear()
    assert started(world).id == started(world).id == in_force(world).id
    assert versions(world) == 1
    assert len(git_host.asked) == 4, "where the branch is, and nothing is fetched"
    assert world.events("flows:source:read") == []


@pytest.mark.parametrize(
    ("protected", "said"),
    [(None, "true"), (["main"], "true"), ([], "false"), (["release"], "false"), (["x", "main"], "true")],
)
def test_the_claims_are_what_was_read(world, repository, protected, said):
    set_source(world, repository, protected=protected)
    assert ref_claims(started(world)) == {
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": said,
        "sha": repository.tip(),
    }


def test_a_stored_version_has_no_such_claims(world):
    store(world)
    assert ref_claims(started(world)) == {}


def test_a_change_of_the_source_counts_at_once(world, repository):
    set_source(world, repository)
    repository.git("checkout", "--quiet", "-b", "release")
    set_source(world, repository, branch="release", protected=["main"])
    claims = ref_claims(started(world))
    assert (claims["ref"], claims["ref_protected"], claims["sha"]) == ("release", "false", repository.tip())


# What is refused, and told


def gone(repository):
    repository.git("checkout", "--quiet", "-b", "other")
    repository.git("branch", "--quiet", "-D", "main")


def no_file(repository):
    repository.git("rm", "--quiet", "agent-config.yml")
    repository.commit_all()


def faulty(repository):
    repository.commit("flows: {fix-ci: {script: [x], secret: y}}\n")


@pytest.mark.parametrize(
    ("spoil", "error", "told"),
    [
        (gone, SourceUnavailable, "cause"),
        (no_file, SourceUnavailable, "cause"),
        (faulty, ConfigurationError, "faults"),
    ],
)
def test_nothing_older_stands_in_for_what_cannot_be_read(world, repository, spoil, error, told):
    set_source(world, repository)
    started(world)
    spoil(repository)
    with pytest.raises(error):
        started(world)
    run, read, *_ = world.events()
    assert (run.action, run.outcome) == ("flows:run:create", "denied")
    assert (read.action, read.outcome, read.project) == ("flows:source:read", "failed", world.project)
    assert read.detail[told]


def test_a_host_that_is_gone_refuses_the_start(world, repository, git_host):
    set_source(world, repository)
    git_host.status = 503
    with pytest.raises(SourceUnavailable, match="it answers 503"):
        started(world)
    git_host.status = None
    assert started(world).commit_sha == repository.tip()


@pytest.mark.parametrize("spoil", [gone, no_file, faulty])
def test_a_source_is_set_only_when_it_can_be_read(world, repository, spoil):
    store(world)
    spoil(repository)
    with pytest.raises((SourceUnavailable, ConfigurationError)):
        set_source(world, repository)
    assert started(world).body == STORED
    [event] = world.events("flows:source:set")
    assert (event.outcome, event.project) == ("failed", world.project)


def test_setting_reading_and_removing_are_told(world, repository):
    set_source(world, repository)
    moved = repository.commit(TWO)
    started(world)
    remove(world)
    removed, _, read, was_set = [each for each in world.events() if each.action.startswith("flows:")]
    assert (removed.action, removed.detail) == (
        "flows:source:remove",
        {"git": repository.url, "branch": "main"},
    )
    assert (read.action, read.detail["commit"]) == ("flows:source:read", moved)
    assert was_set.action == "flows:source:set"
    assert was_set.detail.keys() == {"git", "branch", "protected", "version", "commit", "sha256"}


def test_beside_a_source_nothing_is_stored(world, repository):
    set_source(world, repository)
    with pytest.raises(Conflict, match="is read from Git"):
        store(world)


def test_without_its_source_a_project_has_no_configuration_until_one_is_set(world, repository):
    store(world)
    set_source(world, repository)
    remove(world)
    with pytest.raises(NotFound, match="since its Git source was removed"):
        started(world)
    store(world)
    assert started(world).body == STORED


def test_no_source_can_be_removed_or_read_where_there_is_none(world):
    with pytest.raises(NotFound, match="has no Git source"):
        remove(world)
    with pytest.raises(NotFound, match="has no Git source"):
        world.components.source_reader.refresh(project_id(world), OPERATOR)


def test_nothing_is_fetched_for_who_may_not_start(world, repository, git_host):
    set_source(world, repository)
    world.change(
        lambda session, **by_now: members.remove_member(
            session, find_project(session, world.project), "user:alice", **by_now
        )
    )
    git_host.asked.clear()
    with pytest.raises(Denied):
        started(world)
    assert git_host.asked == []


def test_a_door_that_reads_no_git_starts_nothing_there(world, repository):
    set_source(world, repository)
    with pytest.raises(InvalidInput, match="is not read here"):
        start(world.components.database, world.clock, request(world), OPERATOR)


class Interrupted:
    """Git, and what others do while it reads."""

    def __init__(self, git, meanwhile):
        self.git, self.meanwhile = git, meanwhile

    def branch(self, url, name):
        self.meanwhile()
        return self.git.branch(url, name)


@on_every_database
@pytest.mark.parametrize("how", ["removed", "set anew"])
def test_a_source_that_changes_while_it_is_read_gives_nothing(world, repository, how):
    set_source(world, repository)
    repository.commit(TWO)
    world.clock.advance(seconds=1)
    meanwhile = {"removed": lambda: remove(world), "set anew": lambda: set_source(world, repository)}[how]
    reader = world.components.source_reader
    slow = SourceReader(world.components.database, world.clock, Interrupted(reader._git, meanwhile))
    starting = replace(world.components.starting, sources=slow)
    with pytest.raises(Overtaken, match="was changed meanwhile"):
        starting.start(request(world), OPERATOR)


@on_every_database
def test_two_that_read_the_same_commit_at_once_make_one_version(world, repository):
    set_source(world, repository)
    repository.commit(TWO)
    reader = world.components.source_reader
    inner = Interrupted(reader._git, lambda: reader.refresh(project_id(world), OPERATOR))
    SourceReader(world.components.database, world.clock, inner).refresh(project_id(world), OPERATOR)
    assert versions(world) == 2
