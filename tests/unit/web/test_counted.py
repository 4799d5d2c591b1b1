import pytest

from app.web.console import counted


@pytest.mark.parametrize(("number", "words"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs")])
def test_one_is_not_many(number, words):
    assert counted(number, "run") == words
