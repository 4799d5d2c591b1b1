"""Reading one file from Git: real repositories, served as Git hosts do, and what can be wrong with them."""

import os
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app.clock import system_clock
from app.flows.git import Git, GitLimits, GitRests, remove_leftovers
from app.flows.outbound import Outbound
from app.flows.sources import SourceUnavailable
from tests.support.process import free_port

NAME = "agent-config.yml"
BODY = b"flows: {}\n"
_LEFT = ("countersign-git-old", "countersign-git-new", "countersign-git-link", "others")


def reader(*allow, loopback=True, resolve=socket.getaddrinfo, **limits) -> Git:
    return Git(
        Outbound(allow, allow_loopback=loopback, resolve=resolve),
        GitLimits(**{"file": 65_536, "seconds": 300} | limits),
    )


def read(url, branch="main", git=None):
    with (git or reader()).branch(url, branch) as found:
        return found.read(NAME)


def refusal(url, branch="main", git=None) -> str:
    with pytest.raises(SourceUnavailable) as refused:
        read(url, branch, git)
    return str(refused.value)


@pytest.fixture
def repository(git_host):
    """With one commit on main."""
    repository = git_host.repository()
    repository.commit(BODY)
    return repository


# What is read


def test_the_file_at_the_branch_and_its_commit(repository):
    with reader().branch(repository.url, "main") as branch:
        assert branch.tip() == repository.tip()
        assert branch.read(NAME) == (found := branch.read(NAME))
    assert (found.commit, found.body) == (repository.tip(), BODY)


def test_a_branch_that_moved_or_was_rewritten_is_read_where_it_is_now(repository):
    repository.commit("flows: {a: {script: [x]}}\n")
    assert read(repository.url).commit == repository.tip()
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    rewritten = repository.commit("flows: {b: {script: [x]}}\n")
    assert (read(repository.url).commit, b"b:" in read(repository.url).body) == (rewritten, True)


def test_each_branch_is_its_own(repository):
    repository.git("checkout", "--quiet", "-b", "release/2.x")
    other = repository.commit("flows: {other: {script: [x]}}\n")
    assert read(repository.url, "release/2.x").commit == other
    assert read(repository.url).body == BODY


def test_a_branch_is_no_tag_and_no_part_of_another_name(repository):
    repository.git("tag", "v1")
    repository.git("branch", "feature/main-2")
    for name in ("v1", "main-2", "feature"):
        assert "there is no" in refusal(repository.url, name)


def test_bytes_come_as_they_are_whatever_the_repository_says_of_them(repository):
    """Attributes and filters belong to working copies."""
    (repository.folder / ".gitattributes").write_text("* text eol=crlf ident filter=x export-ignore\n")
    body = b"# $Id$\r\nflows: {}\n\xff"
    repository.git("config", "core.autocrlf", "false")
    (repository.folder / ".git/info/attributes").write_text("* -text -ident -filter\n")
    repository.commit(body)
    assert read(repository.url).body == body


def test_a_repository_with_submodules_is_read_without_them(git_host, repository):
    other = git_host.repository("acme/other")
    other.commit(BODY)
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other.url, "part")
    repository.commit_all()
    before = len(git_host.asked)
    assert read(repository.url).body == BODY
    assert not any("other" in line for line in git_host.asked[before:])


@pytest.mark.parametrize("partial", [True, False], ids=["partial fetches", "whole ones only"])
def test_a_large_repository_costs_what_its_directories_do(repository, partial):
    """Unless its server knows only whole fetches: then the limit refuses it."""
    repository.git("config", "uploadpack.allowFilter", str(partial).lower())
    (repository.folder / "large").write_bytes(os.urandom(3 << 20))
    repository.commit_all()
    git = reader(transfer=1 << 20)
    if partial:
        assert read(repository.url, git=git).body == BODY
    else:
        assert "more than 1 MB" in refusal(repository.url, git=git)


# What is refused


def test_what_git_says_is_for_the_operator_alone(repository):
    blob = repository.git("rev-parse", f"main:{NAME}").strip()
    (repository.folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(SourceUnavailable, match=r"for a reason that is in the server's log$") as refused:
        read(repository.url)
    assert blob not in str(refused.value)
    assert f"cannot read {repository.url}: git failed: " in refused.value.for_operator
    assert blob in refused.value.for_operator


def test_a_branch_that_is_not_there(repository):
    assert refusal(repository.url, "nope").endswith("there is no branch nope")
    with (
        reader().branch(repository.url, "nope") as branch,
        pytest.raises(SourceUnavailable, match="branch nope"),
    ):
        branch.tip()


def test_a_branch_is_no_option(repository, tmp_path):
    """Rules for names refuse these before; here nothing comes of them either."""
    for name in ("--upload-pack=touch here", "-q", "x:refs/heads/main", "../../main"):
        assert "cannot read" in refusal(repository.url, name)
    assert not list(tmp_path.rglob("here"))


def test_a_file_that_is_not_there(repository):
    repository.git("rm", "--quiet", NAME)
    repository.commit_all()
    assert f"there is no {NAME}" in refusal(repository.url)


def link(folder: Path) -> None:
    (folder / NAME).symlink_to("/etc/passwd")


def directory(folder: Path) -> None:
    (folder / NAME).mkdir()
    (folder / NAME / "x").write_text("x")


def submodule(folder: Path) -> None:
    inner = folder / NAME
    inner.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=inner, check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, "commit", "--quiet", "--allow-empty", "-mx"], cwd=inner, check=True)


@pytest.mark.parametrize(
    ("make", "kind"), [(link, "a symbolic link"), (directory, "a directory"), (submodule, "a submodule")]
)
def test_what_is_no_file_there(repository, make, kind):
    (repository.folder / NAME).unlink()
    make(repository.folder)
    repository.commit_all()
    assert f"is {kind} there: it must be a file" in refusal(repository.url)


def test_a_file_that_is_too_large(repository):
    repository.commit(b"#" * 70_000)
    assert "larger than 65536 bytes" in refusal(repository.url)


@pytest.mark.parametrize("size", [3 << 20, 64 << 20], ids=["incompressible", "a bomb"])
def test_a_file_that_is_enormous(repository, size):
    """Whether it is large on the wire or only when unpacked, no more of it is written than the limit says."""
    repository.commit(os.urandom(size) if size < 1 << 23 else bytes(size))
    said = refusal(repository.url, git=reader(transfer=1 << 20))
    assert "more than 1 MB" in said or "larger than" in said


def test_a_repository_that_is_not_there_or_asks_for_a_password(git_host, repository):
    assert "there is no such repository" in refusal(f"{git_host.url}/acme/nothing.git")
    git_host.status = 401
    assert "asks for a password" in refusal(repository.url)
    assert not any("Authorization" in heads for heads in git_host.heads)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(git_host, repository, status, tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as elsewhere:
        elsewhere.settimeout(0)
        git_host.location, git_host.status = f"http://127.0.0.1:{elsewhere.getsockname()[1]}", status
        assert "it redirects" in refusal(repository.url)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_host_that_says_no(git_host, repository, status):
    git_host.status = status
    said = refusal(repository.url)
    assert ("asks for a password" if status == 403 else f"it answers {status}") in said


def test_mere_files_are_no_git_server(git_host, repository):
    repository.git("update-server-info")
    git_host.is_dumb = True
    assert "mere files" in refusal(repository.url)


def test_a_web_server_without_git(git_host, repository):
    git_host.is_dumb = True
    assert "cannot read" in refusal(f"{git_host.url}/acme")


def test_a_dead_host(repository):
    assert "cannot connect" in refusal(f"http://127.0.0.1:{free_port()}/acme/webapp.git")


# Time


@contextmanager
def silent():
    """Takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/acme/webapp.git"


def at_work_in(folder: Path) -> list[str]:
    """Command lines of whoever works below it, also when it is gone by now."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if str((each / "cwd").readlink()).startswith(str(folder)):
                found.append((each / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Where git works."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / "countersign-git-"


def test_a_host_that_never_answers_is_given_up_and_nothing_stays_behind(workplace):
    with silent() as url:
        assert "no whole answer within 0.7 s" in refusal(url, git=reader(seconds=0.7))
    deadline = time.monotonic() + 60
    while at_work_in(workplace):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_host_that_never_ends_is_given_up(git_host, repository):
    git_host.is_slow = True
    try:
        assert "no whole answer within 1 s" in refusal(repository.url, git=reader(seconds=1))
    finally:
        git_host.is_slow = False


@pytest.mark.parametrize("fails", [False, True])
def test_after_a_read_none_follows_for_so_many_times_as_long_whatever_it_is_of(git_host, repository, fails):
    git = reader(rest=100_000)
    if fails:
        git_host.status = 503
        refusal(repository.url, git=git)
    else:
        read(repository.url, git=git)
    before = len(git_host.asked)
    for url in (repository.url, f"{git_host.url}/acme/other.git"):
        with pytest.raises(GitRests) as rests:
            read(url, git=git)
        assert rests.value.seconds > 60
    assert len(git_host.asked) == before


def test_a_rest_has_an_end(repository):
    git = reader(rest=0.5)
    read(repository.url, git=git)
    deadline = time.monotonic() + 60
    while True:
        try:
            found = read(repository.url, git=git)
        except GitRests:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            break
    assert found.body == BODY


def test_the_time_to_look_a_name_up_is_part_of_the_limit(repository):
    def late(*_, **__):
        time.sleep(0.5)
        return names(git="127.0.0.1")("git.example", 80)

    git = reader("git.example", resolve=late, seconds=0.4)
    assert "no whole answer within 0.4 s" in refusal(
        repository.url.replace("127.0.0.1", "git.example"), git=git
    )


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, new, link, other = (tmp_path / f"{name}" for name in _LEFT)
    for folder in (old, new, other):
        folder.mkdir()
        (folder / "words").write_text("x")
    link.symlink_to(other)
    for each in (old, other):
        os.utime(each, (0, 0))
    remove_leftovers(system_clock())
    assert sorted(tmp_path.iterdir()) == sorted([new, link, other])
    assert (other / "words").exists()


# Addresses


def names(**addresses):
    def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[host.partition(".")[0]], port))]

    return resolve


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://inside.example/acme/webapp.git", "a private address"),
        ("https://metadata.example/acme/webapp.git", "a link-local address"),
        ("https://here.example/acme/webapp.git", "a loopback address"),
        ("http://outside.example/acme/webapp.git", "must be https"),
        ("https://169.254.169.254/acme/webapp.git", "a link-local address"),
    ],
)
def test_addresses_are_held_to_the_rules_of_secrets(url, said):
    resolve = names(inside="10.1.2.3", metadata="169.254.169.254", here="127.0.0.1", outside="93.184.215.14")
    assert said in refusal(url, git=reader(loopback=False, resolve=resolve))


def test_http_on_loopback_only_while_the_issuer_is_there(repository):
    assert "must be https" in refusal(repository.url, git=reader(loopback=False))


def test_a_name_is_looked_up_once_and_git_goes_where_that_was(git_host, repository):
    """No resolver of this machine knows the name, so nobody but us can have told git the address."""
    url = repository.url.replace("127.0.0.1", "git.countersign.invalid")
    git = reader("git.countersign.invalid", resolve=names(git="127.0.0.1"))
    assert read(url, git=git).commit == repository.tip()
    assert git_host.heads[-1]["Host"].startswith("git.countersign.invalid:")


# What git has of this machine


def test_nothing_of_this_machine_takes_part(git_host, repository, tmp_path, monkeypatch):
    """Its environment, its configuration, its credentials and its hooks, all of which would be noticed."""
    home, traced = tmp_path / "home", tmp_path / "traced"
    template = home / "template/hooks"
    template.mkdir(parents=True)
    for hook in ("reference-transaction", "post-checkout"):
        (template / hook).write_text(f"#!/bin/sh\ntouch {traced}\n")
        (template / hook).chmod(0o755)
    (home / ".netrc").write_text("machine 127.0.0.1 login root password hunter2\n")
    (home / ".gitconfig").write_text(
        f"[credential]\nhelper = !touch {traced}; echo password=hunter2\n"
        f"[http]\nextraHeader = X-Mine: hunter2\n[init]\ntemplateDir = {template.parent}\n"
        f'[core]\nhooksPath = {template}\n[url "https://elsewhere.invalid/"]\ninsteadOf = http://\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("GIT_TRACE_CURL", str(traced))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {traced}")
    monkeypatch.setenv("GIT_ASKPASS", str(template / "post-checkout"))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert read(repository.url).body == BODY
    git_host.status = 401
    refusal(repository.url)
    assert not traced.exists()
    assert "hunter2" not in str(git_host.heads)
