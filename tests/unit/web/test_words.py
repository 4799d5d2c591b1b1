import pytest
from markupsafe import Markup

from app.web.console import counted, with_code


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (2000, "2,000 runs")]
)
def test_one_is_not_many(number, words):
    assert counted(number, "run") == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Leave `user` out.", "Leave <code>user</code> out."),
        ("`a` and `<b>`", "<code>a</code> and <code>&lt;b&gt;</code>"),
        ("a lone ` stays", "a lone ` stays"),
        ("`two\nlines`", "`two\nlines`"),
        (Markup("<b>`it`</b>"), "<b><code>it</code></b>"),
    ],
)
def test_what_stands_between_backticks_is_code(text, shown):
    assert with_code(text) == shown
