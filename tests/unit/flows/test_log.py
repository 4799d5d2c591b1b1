"""What a run said: stored in chunks, read by offset, searched, and removed after a while."""

import re
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, func, insert, select

from app.cli.plain import Plain
from app.errors import NotFound
from app.flows import log
from app.flows.models import ConfigurationVersion, LogChunk, Run
from app.identity.models import Project
from tests.support.components import NOW, on_every_database


@pytest.fixture
def runs(world):
    """Makes runs that ended so long ago."""
    components = world.components

    def make(ended: timedelta | None = None) -> int:
        with components.database.writing() as session:
            project = session.scalars(select(Project.id)).one()
            version = ConfigurationVersion(
                project_id=project, sha256="", body=b"", created_by="", created_at=NOW
            )
            session.add(version)
            session.flush()
            return session.execute(
                insert(Run)
                .values(
                    state="running" if ended is None else "succeeded",
                    project_id=project,
                    configuration_id=version.id,
                    flow="f",
                    source="cli",
                    user_id=world.alice,
                    service_account_id=world.duo,
                    delegation_id=world.delegation,
                    id_tokens=[],
                    secrets=[],
                    created_at=NOW,
                    heartbeat_at=NOW,
                    ended_at=None if ended is None else NOW - ended,
                )
                .returning(Run.id)
            ).scalar_one()

    return make


def say(world, run: int, *said: bytes) -> bytes:
    writer = log.LogWriter(world.components.database, world.components.clock, run)
    for each in said:
        writer.write(each)
        writer.store()
    return b"".join(said)


@on_every_database
def test_a_log_is_read_from_any_offset_in_pieces_of_any_size(world, runs):
    run = runs()
    said = say(world, run, b"first\n", b"\xff\x00", b"the third chunk\n", b"x" * 10)
    with world.components.database.reading() as session:
        assert log.size(session, run) == len(said)
        for offset in range(len(said) + 2):
            for limit in (1, 5, 6, 7, 1000):
                assert log.read_from(session, run, offset, limit) == said[offset : offset + limit]
    assert b"".join(log.stream(world.components.database, run, 3)) == said[3:]


def test_a_log_nobody_has_written_is_empty(world, runs):
    with world.components.database.reading() as session:
        assert log.size(session, runs()) == 0
        assert log.read_from(session, runs(), 0) == b""


def test_lines_are_found_across_chunks_with_their_offsets(world, runs):
    run = runs()
    said = say(world, run, b"one Nee", b"dle\ntwo\n\nthr", b"ee needles, ", b"needle\n", b"NEEDLE at the end")
    found = list(log.search(world.components.database, run, "needle"))
    assert [line for _, line in found] == [b"one Needle", b"three needles, needle", b"NEEDLE at the end"]
    assert all(said[offset:].startswith(line) for offset, line in found)
    assert list(log.search(world.components.database, run, "needle", 5)) == found[1:]
    assert not list(log.search(world.components.database, run, "nothing"))


def test_a_line_without_end_is_searched_in_parts(world, runs):
    run = runs()
    say(world, run, b"." * 10_000 + b"needle" + b"." * 10_000)
    [found] = log.search(world.components.database, run, "needle")
    assert found.offset <= 10_000 < found.offset + len(found.line)
    assert len(found.line) <= 4096


@given(st.integers(0, 4200), st.integers(1, 4200), st.sampled_from(["needle", "größe €", "x" * 5000]))
def test_nothing_is_missed_where_a_long_line_is_parted(before, cut, text):
    line = b"." * before + text.encode() + "ü€".encode() * 2000
    pieces = iter([line[at : at + cut] for at in range(0, len(line), cut)])
    parts = list(log._lines(pieces, 7, len(text.encode())))
    assert [each for each in parts if text.encode() in each.line]
    for offset, part in parts:
        assert line[offset - 7 :].startswith(part)
        part.decode()
    assert max(len(part) for _, part in parts) <= max(4096, 2 * len(text.encode()))


def test_of_a_line_without_end_no_more_is_searched_at_once_than_asked(world, runs):
    run = runs()
    say(world, run, *[b"." * 50_000] * 10, b"needle")
    offset, asked, found = 0, 0, []
    while offset is not None:
        some, offset = log.search_some(
            world.components.database, run, "needle", offset, most=9, within=100_000
        )
        asked, found = asked + 1, found + some
    assert asked == 5
    assert [line[-6:] for _, line in found] == [b"needle"]


@on_every_database
def test_of_a_large_log_some_is_removed_in_a_transaction(world, runs, monkeypatch):
    """Whoever else wants to write waits for that long."""
    monkeypatch.setattr(log, "_REMOVED_AT_ONCE", 20)
    run, database = runs(timedelta(days=91)), world.components.database
    say(world, run, *[b"tenletters"] * 5)
    left = []

    def look(connection):
        left.append(connection.scalar(select(func.count()).select_from(LogChunk)))

    event.listen(database.engine, "commit", look)
    assert log.remove_old(database, NOW, NOW) == 1
    assert [count for count, before in pairwise([5, *left][::-1]) if count != before] == [0, 1, 3]


@on_every_database
def test_the_logs_of_runs_that_ended_long_ago_are_removed(world, runs):
    database = world.components.database
    old = [runs(timedelta(days=91)) for _ in range(23)]
    kept = [runs(timedelta(days=89)), runs()]
    for run in (*old, *kept):
        say(world, run, b"said\n")
    before = NOW - timedelta(days=90)
    assert log.remove_old(database, before, NOW) == 23
    assert log.remove_old(database, before, NOW) == 0
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(LogChunk)) == 2
        for run in kept:
            assert log.read_from(session, run, 0) == b"said\n"
        with pytest.raises(NotFound, match=rf"the log of run {old[0]} was removed on {NOW:%Y-%m-%d}"):
            log.read_from(session, old[0], 0)


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"\x1b[31m", b"\x1b[2J", b"\x1b]0;t\x07", b"\xc2\x9b"),
                *(b"a", b"\n", b"\r", b"\r\n", "ä".encode()),
            ]
        )
    ),
    st.lists(st.integers(0, 60)),
)
def test_what_a_terminal_gets_steers_nothing_however_it_is_cut(parts, points):
    text = b"".join(parts) + b"."
    bounds = [0, *sorted(min(point, len(text)) for point in points), len(text)]
    plain = Plain()
    shown = b"".join(plain(text[start:end]) for start, end in pairwise(bounds))
    assert shown == Plain()(text)
    assert b"\x1b" not in re.sub(rb"\x1b\[31m", b"", shown)
    assert b"\x9b" not in shown
    assert not re.search(rb"\r(?!\n)", shown)  # what was said is not written over
    assert shown.count(b"\x1b[31m") == parts.count(b"\x1b[31m")
