"""The arithmetic of the benchmark. What it measures is never held against a time."""

import json
import os
from base64 import urlsafe_b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import asking, countersign, growth, load, minting, oidc_provider, results, tables
from bench.load import UnexpectedAnswerError
from bench.processes import Process, cpu_seconds, parse_stat, running, tree
from bench.results import Result
from bench.rounds import Contestant, Sample, alternate, median_cpu, median_rate, median_ratio, rotated
from tests.support import odd_server

BEFORE_CPU = "S 41 1 1 0 -1 4194560 900 0 0 0"
AFTER_CPU = "20 0 3 0 12345 250000000 1700 18446744073709551615"


@pytest.mark.parametrize("command", ["python", "a b", "a) S 7 (b", ""])
def test_a_stat_line_is_read_whatever_the_command_is_called(command):
    line = f"42 ({command}) {BEFORE_CPU} 100 20 3 4 {AFTER_CPU}"
    assert parse_stat(line) == Process(pid=42, parent=41, cpu_ticks=127, resident_pages=1700)


def test_a_tree_is_its_root_and_all_below_it_but_nobody_elses():
    parents = {1: 0, 10: 1, 11: 10, 12: 10, 13: 12, 20: 1, 21: 20}
    processes = [Process(pid, parent, 0, 0) for pid, parent in parents.items()]
    assert {each.pid for each in tree(10, processes)} == {10, 11, 12, 13}
    assert tree(99, processes) == []


def test_this_process_is_running_and_has_cost_something():
    assert os.getpid() in {each.pid for each in running()}
    assert cpu_seconds(os.getpid()) > 0


@given(st.lists(st.integers(), min_size=1, max_size=6))
def test_after_as_many_rounds_as_there_are_items_each_was_first_once(items):
    orders = [rotated(items, number) for number in range(len(items))]
    assert [order[0] for order in orders] == items
    assert all(sorted(order) == sorted(items) for order in orders)


def test_rounds_alternate_after_one_of_warming_up():
    order = []
    contestants = [
        Contestant(name, 3, lambda count, name=name: order.append((name, count))) for name in "abc"
    ]
    taken = list(alternate(contestants, 2))
    assert "".join(name for name, _ in order) == "abc" + "abc" + "bca"
    assert {count for _, count in order} == {3}
    assert [set(each) for each in taken] == [{"a", "b", "c"}] * 2


def test_cpu_is_what_the_contestants_own_meter_says():
    meter = iter([0.0, 1.0, 5.0, 5.5])
    only = Contestant("a", 1000, lambda _: None, cpu=lambda: next(meter))
    (taken,) = alternate([only], 1)
    assert taken["a"].cpu_microseconds == pytest.approx(500)


def test_a_ratio_is_taken_within_each_round_so_that_a_slow_round_cancels_out():
    rounds = [
        {"a": Sample(10, 2e-5 * slow, 1.0), "b": Sample(10, 1e-5 * slow, 2.0)} for slow in (1, 50, 1, 7, 7)
    ]
    assert median_ratio(rounds, "a", "b") == pytest.approx(2)
    assert median_cpu(rounds, "a") == pytest.approx(14)
    assert median_rate(rounds, "b") == pytest.approx(5)


RESULT = Result(
    at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    quick=False,
    versions={"Python": "3.11"},
    rounds=[
        {
            minting.SIGNATURE: Sample(100, 0.03, 0.03),
            minting.RUN: Sample(100, 0.06, 0.06),
            countersign.ISSUING: Sample(100, 0.12, 0.12),
            countersign.DISCOVERY: Sample(100, 0.003, 0.003),
            countersign.JWKS: Sample(100, 0.004, 0.004),
            oidc_provider.ISSUING: Sample(100, 0.08, 0.08),
            asking.DECIDING: Sample(100, 0.0011, 0.0011),
            asking.INTROSPECTING: Sample(100, 0.026, 0.026),
        }
    ],
    sizes=[1000, 1_000_000],
    growth=[
        {
            growth.name(operation, rows): Sample(100, 0.04 + rows * 1e-8, 0.1)
            for operation in growth.OPERATIONS
            for rows in (1000, 1_000_000)
        }
    ],
    start_cpu_seconds=[0.9, 0.7, 0.8],
    resident_bytes=65_000_000,
)


@pytest.mark.parametrize(
    "row",
    [
        "| a token's CPU ÷ oidc-provider's | 1.50 | ≤ 1.0 |",
        "| a token's CPU ÷ one signature's | 4.00 |  |",
        "| a run's tokens ÷ as many signatures | 2.00 | ≤ 1.15 |",
        f"| {countersign.ISSUING} | 1,200 | 833 |",
        f"| {countersign.DISCOVERY}, CPU | 30 microseconds | ≤ 100 microseconds |",
        f"| {asking.DECIDING}, CPU | 11 microseconds | ≤ 50 microseconds |",
        f"| {asking.INTROSPECTING}, CPU | 260 microseconds | ≤ 400 microseconds |",
        f"| {asking.SEARCHING} | 400 | 500 | 1.25 | ≤ 1.2 |",
        "The largest also has 100,000 members and 10,000 delegations of one human.",
        "| a web worker's start to its first answer, CPU | 0.80 s | ≤ 1.0 s |",
        "| a web worker after the load, resident | 65 MB | ≤ 70 MB |",
    ],
)
def test_the_tables_show(row):
    assert row in tables.markdown(RESULT).splitlines()


def test_without_the_peer_there_is_no_ratio_to_it():
    alone = {name: sample for name, sample in RESULT.rounds[0].items() if name != oidc_provider.ISSUING}
    written = tables.markdown(Result(**vars(RESULT) | {"rounds": [alone]}))
    assert "÷ oidc-provider" not in written
    assert "÷ one signature" in written


def test_the_json_holds_every_sample_and_the_medians():
    kept = json.loads(RESULT.as_json())
    assert kept["rounds"][0][countersign.ISSUING] == {"count": 100, "cpu_seconds": 0.12, "wall_seconds": 0.12}
    assert kept["medians"][countersign.ISSUING]["cpu_microseconds"] == pytest.approx(1200)


def test_the_readme_quotes_between_its_marks_and_nowhere_else():
    readme = f"# A\n{tables.BEGIN}\nold\n{tables.END}\n# B\n"
    once = tables.quoted(readme, "new\n")
    assert once == f"# A\n{tables.BEGIN}\nnew\n{tables.END}\n# B\n"
    assert tables.quoted(once, "new\n") == once


@pytest.mark.parametrize("readme", ["", tables.BEGIN, tables.END, f"{tables.END}{tables.BEGIN}"])
def test_a_readme_without_the_marks_is_left_alone(readme):
    with pytest.raises(tables.NoPlaceError):
        tables.quoted(readme, "new")


def test_the_newest_whole_run_is_quoted_never_a_quick_one(tmp_path):
    assert results.newest_markdown(tmp_path) is None
    for name in ("2026-11-20", "2026-11-22", "2026-11-23-quick"):
        (tmp_path / f"{name}.md").write_text(name)
    assert results.newest_markdown(tmp_path) == "2026-11-22"


def keeping_alive(met, good=10**9):
    """200 to the first `good` requests, then 503; notes in `met` whose connection each came on."""

    def behave(handler, _server):
        met.append(handler.client_address)
        handler.close_connection = False
        handler.wfile.write(
            b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % (200 if len(met) <= good else 503)
        )

    return behave


@pytest.mark.parametrize(("count", "connections"), [(1, 4), (50, 4), (7, 1)])
def test_load_is_exactly_as_many_requests_on_as_many_connections(count, connections):
    met = []
    with odd_server.serving(keeping_alive(met)) as server:
        assert load.send(server.port, load.get("/"), count, connections) == b"ok"
    assert len(met) == count
    assert len(set(met)) <= connections


def test_an_answer_that_is_not_200_ends_the_measurement():
    with odd_server.serving(keeping_alive([], good=5)) as server, pytest.raises(ExceptionGroup) as failure:
        load.send(server.port, load.get("/"), 20, connections=2)
    assert failure.group_contains(UnexpectedAnswerError)


def issued(algorithm: str, signature_bytes: int) -> bytes:
    parts = (json.dumps({"alg": algorithm}).encode(), b"{}", bytes(signature_bytes))
    token = ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    return json.dumps({"access_token": token}).encode()


def test_only_rs256_over_2048_bits_is_compared():
    load.expect_rs256(issued("RS256", 256))
    for other in (issued("ES256", 64), issued("RS256", 384)):
        with pytest.raises(UnexpectedAnswerError):
            load.expect_rs256(other)


def test_an_answer_that_says_something_else_ends_the_measurement():
    load.expect(b'{"active": true, "sub": "user:1"}', active=True)
    for other in (b'{"active": false}', b"{}"):
        with pytest.raises(UnexpectedAnswerError):
            load.expect(other, active=True)


def test_a_grown_installation_answers_as_a_small_one_does(tmp_path):
    """What growth compares is the same work: each operation checks its own answer."""
    installation, parties = countersign.install(tmp_path)
    small, large = ([*growth.contestants(tmp_path, installation, parties, [rows], 1)] for rows in (500, 2000))
    assert [each.name for each in large] == [growth.name(each, 2000) for each in growth.OPERATIONS]
    for each in (*small, *large):
        each.work(1)
