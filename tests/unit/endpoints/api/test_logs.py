"""A run's log, through the API: by offset, searched, and whole."""

import pytest
from sqlalchemy import insert, update

from app.flows import log, runs
from app.flows.models import LogChunk, Run
from app.identity.permissions import Role
from tests.support.components import on_every_database

from .conftest import problem
from .scenes import everybody, new_run

PATHS = ("/log", "/log/search?text=x", "/log/raw")
TEXT = "first line\nan Error: größe €\nlast line\n".encode()


@pytest.fixture
def run(api):
    return new_run(api.world)


def write(api, run, *chunks: bytes):
    offset = 0
    with api.world.components.database.writing() as session:
        for chunk in chunks:
            session.execute(insert(LogChunk).values(run_id=run, offset=offset, content=chunk))
            offset += len(chunk)


def end(api, run):
    api.world.change(runs.request_cancel, run)


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize("caller", ["alice", "composite token", "account"])
def test_whoever_may_read_runs_may_read_logs(api, run, caller, role):
    everybody(api.world, role.label)
    for path in PATHS:
        assert api(caller, "GET", f"/runs/{run}{path}").status_code == (200 if role >= Role.REPORTER else 403)


@pytest.mark.parametrize(
    ("caller", "status"), [("stranger", 404), ("narrow", 404), ("nobody", 401), ("client secret", 401)]
)
def test_others_learn_nothing(api, run, caller, status):
    for number in (run, 999):
        for path in PATHS:
            problem(api(caller, "GET", f"/runs/{number}{path}"), status)


@on_every_database
def test_pieces_meet_end_to_end_whatever_their_size(api, run):
    write(api, run, TEXT[:7], TEXT[7:30], TEXT[30:])
    for size in (16, 17, 19, 23, 1000):
        offset, text = 0, ""
        while True:
            piece = api("alice", "GET", f"/runs/{run}/log?offset={offset}&limit={size}").get_json()
            assert piece["offset"] == offset
            assert not piece["complete"]
            if not piece["log"]:
                break
            text, offset = text + piece["log"], piece["next_offset"]
        assert text.encode() == TEXT
        assert offset == len(TEXT)


def test_it_is_complete_when_the_run_has_ended_and_nothing_is_left(api, run):
    write(api, run, TEXT)
    end(api, run)
    first = api("alice", "GET", f"/runs/{run}/log?limit=16").get_json()
    assert (first["log"], first["complete"]) == ("first line\nan Er", False)
    rest = api("alice", "GET", f"/runs/{run}/log?offset={first['next_offset']}").get_json()
    assert (rest["complete"], rest["next_offset"]) == (True, len(TEXT))
    assert api("alice", "GET", f"/runs/{run}/log?offset=999").get_json()["complete"] is True


def test_a_character_that_is_not_there_yet_comes_whole(api, run):
    write(api, run, "a €".encode()[:-1])
    piece = api("alice", "GET", f"/runs/{run}/log").get_json()
    assert (piece["log"], piece["next_offset"]) == ("a ", 2)
    end(api, run)
    piece = api("alice", "GET", f"/runs/{run}/log").get_json()
    assert (piece["log"], piece["next_offset"], piece["complete"]) == ("a \ufffd", 4, True)


def test_lines_are_found_with_their_offsets(api, run):
    write(api, run, TEXT)
    found = api("alice", "GET", f"/runs/{run}/log/search?text=LINE").get_json()
    assert found["next_offset"] is None
    assert [(each["offset"], each["line"]) for each in found["found"]] == [
        (0, "first line"),
        (TEXT.index(b"last"), "last line"),
    ]
    one = api("alice", "GET", f"/runs/{run}/log/search?text=line&limit=1").get_json()
    assert [each["line"] for each in one["found"]] == ["first line"]
    rest = api(
        "alice", "GET", f"/runs/{run}/log/search?text=line&limit=1&offset={one['next_offset']}"
    ).get_json()
    assert [each["line"] for each in rest["found"]] == ["last line"]
    assert api("alice", "GET", f"/runs/{run}/log/search?text=gr%C3%B6%C3%9Fe").get_json()["found"]


def test_a_long_log_is_searched_some_of_it_at_once(api, run):
    line = b"x" * 1023 + b"\n"
    write(api, run, *[line * 256] * 20, b"found\n")
    offset, asked, found = 0, 0, []
    while offset is not None:
        answer = api("alice", "GET", f"/runs/{run}/log/search?text=found&offset={offset}").get_json()
        offset, asked, found = answer["next_offset"], asked + 1, found + answer["found"]
    assert asked == 2
    assert [each["offset"] for each in found] == [20 * 256 * 1024]


def test_the_download_is_what_is_stored(api, run):
    content = b"\x1b[31mred\x1b[0m \xff\r\n" * 100_000
    pieces = range(0, len(content), 65_536)
    write(api, run, *(content[at : at + 65_536] for at in pieces))
    answer = api("alice", "GET", f"/runs/{run}/log/raw")
    assert answer.data == content
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f"attachment; filename=run-{run}.log"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    etag = answer.headers["ETag"]
    assert api("alice", "GET", f"/runs/{run}/log/raw", If_None_Match=etag).status_code == 304


def test_a_part_of_it_can_be_downloaded(api, run):
    write(api, run, b"0123456789", b"abcdefghij")
    for query, part in (
        ("offset=8&limit=4", b"89ab"),
        ("limit=3", b"012"),
        ("offset=18", b"ij"),
        ("offset=20", b""),
    ):
        answer = api("alice", "GET", f"/runs/{run}/log/raw?{query}")
        assert (answer.status_code, answer.data) == (200, part)


def test_a_log_that_was_removed_says_when(api, run):
    end(api, run)
    now = api.world.clock()
    with api.world.components.database.writing() as session:
        session.execute(update(Run).where(Run.id == run).values(log_removed_at=now))
    for path in PATHS:
        gone = problem(api("alice", "GET", f"/runs/{run}{path}"), 410)
        assert gone["detail"] == (f"the log of run {run} was removed on 2026-11-22: it was kept long enough.")
    problem(api("stranger", "GET", f"/runs/{run}/log"), 404)


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("/log?offset=-1", "offset"), ("/log?limit=15", "limit"), ("/log?limit=1048577", "limit"),
        ("/log?text=x", "(unknown key)"), ("/log/search", "text"), ("/log/search?text=", "text"),
        ("/log/raw?limit=0", "limit"),
    ],
)  # fmt: skip
def test_a_query_is_read_strictly(api, run, query, key):
    refused = problem(api("alice", "GET", f"/runs/{run}{query}"), 422)
    assert [each["key"] for each in refused["errors"]] == [key]


def test_removal_by_age_is_what_the_api_shows(api, run):
    write(api, run, TEXT)
    end(api, run)
    api.world.clock.advance(days=91)
    now = api.world.clock()
    log.remove_old(api.world.components.database, now, now)
    everyone = api("administrator", "GET", f"/runs/{run}/log")
    problem(everyone, 410)
