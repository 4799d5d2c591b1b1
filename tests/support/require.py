"""A test that needs what this machine lacks is skipped and says so; with `REQUIRE_ALL=1` it fails."""

import os
from collections import Counter
from collections.abc import Callable, Generator
from typing import TypeVar

import pytest

from tests.support.tools import MissingError

Found = TypeVar("Found")
PROPERTY = "missing tool"


def require(find: Callable[[], Found]) -> Found:
    """What `find` finds; skips the test where it raises `MissingError`."""
    try:
        return find()
    except MissingError as missing:
        raise pytest.skip.Exception(str(missing), _use_item_location=True) from missing


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and isinstance(missing := call.excinfo.value.__cause__, MissingError):
        report.user_properties.append((PROPERTY, str(missing)))
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """No skip of any origin survives `REQUIRE_ALL=1`; an expected failure is no skip."""
    if os.environ.get("REQUIRE_ALL") != "1" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"REQUIRE_ALL=1 allows no skip. {reason}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each missing tool, with how many tests did not run for want of it."""
    reports = [
        report for state in ("skipped", "failed", "error") for report in terminalreporter.stats.get(state, [])
    ]
    properties = [entry for report in reports for entry in getattr(report, "user_properties", ())]
    missing = Counter(value for name, value in properties if name == PROPERTY)
    if missing:
        terminalreporter.section("missing tools")
    for reason, tests in sorted(missing.items()):
        terminalreporter.line(f"{tests} not run: {reason}")
