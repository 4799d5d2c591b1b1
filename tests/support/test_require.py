"""A missing tool is a skip that is told, and under REQUIRE_ALL=1 a failure."""

import pytest

TESTS = """
    import pytest
    from tests.support.require import require
    from tests.support.tools import Tool

    NOWHERE = Tool("Nowhere", {"no-such-program": "no-such-package"})

    @pytest.fixture
    def server():
        return require(lambda: NOWHERE.find("no-such-program"))

    def test_with_a_fixture(server): ...
    def test_by_itself(): require(lambda: NOWHERE.find("no-such-program"))
    def test_skipped_otherwise(): pytest.skip("no reason is good enough")
    @pytest.mark.skipif(True, reason="no condition either")
    def test_skipped_by_mark(): ...
    @pytest.mark.xfail(reason="known")
    def test_expected_to_fail(): assert False
    def test_sound(): ...
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch):
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    pytester.makeconftest('pytest_plugins = ["tests.support.require"]')
    pytester.makepyfile(TESTS)
    return pytester


def test_a_missing_tool_is_told_at_the_end(suite):
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=1, skipped=4, xfailed=1)
    result.stdout.fnmatch_lines(["*missing tools*", "2 not run: Nowhere is missing: *no-such-package*"])


@pytest.mark.parametrize("arguments", [(), ("-n1",)])
def test_with_require_all_no_skip_passes(suite, monkeypatch, arguments):
    monkeypatch.setenv("REQUIRE_ALL", "1")
    result = suite.runpytest_inprocess(*arguments)
    result.assert_outcomes(passed=1, failed=2, errors=2, xfailed=1)
    result.stdout.fnmatch_lines(["*missing tools*", "2 not run: Nowhere is missing: *no-such-package*"])


def test_with_require_all_a_whole_module_may_not_be_skipped_either(suite, monkeypatch):
    monkeypatch.setenv("REQUIRE_ALL", "1")
    suite.makepyfile(test_module="import pytest; pytest.importorskip('no_such_module')")
    result = suite.runpytest_inprocess("test_module.py")
    result.assert_outcomes(errors=1)
