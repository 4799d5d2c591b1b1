"""What two versions of a configuration differ in, in time that no text can stretch."""

import difflib
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.differences import differences

TEXTS = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=30).map(
    lambda lines: "\n".join([*lines, "."])
)
SIGNS = {"kept": " ", "added": "+", "removed": "-", "place": "@@"}


@given(before=TEXTS, after=TEXTS)
def test_both_texts_can_be_read_from_it(before, after):
    """Applied to the one it gives the other: as far as lines are shown, they stand where it says."""
    old, new = before.splitlines(), after.splitlines()
    rebuilt, reached = [], 0
    for kind, line in differences(before, after):
        if kind == "place":
            start, count = map(int, line.split()[1][1:].split(","))
            begin = start - bool(count)
            rebuilt += old[reached:begin]
            reached = begin
        elif kind == "added":
            rebuilt.append(line)
        else:
            assert old[reached] == line
            reached += 1
            rebuilt += [line] if kind == "kept" else []
    assert rebuilt + old[reached:] == new


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\nc", "a\nx\nc"),
        ("", "a\nb"),
        ("a\nb", ""),
        ("\n".join("abcdefghijklmn"), "\n".join("abcdefghXjklmn")),
    ],
)
def test_it_is_a_unified_diff(before, after):
    unified = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=4))[2:]
    ours = [line if kind == "place" else SIGNS[kind] + line for kind, line in differences(before, after)]
    assert [line.replace(",1 ", " ") for line in ours] == [line.replace(",1 ", " ") for line in unified]


def test_a_line_in_a_long_text_is_found_and_too_many_are_not_compared():
    lines = [f"line {number}" for number in range(20_000)]
    changed = [*lines[:10_000], "other", *lines[10_001:]]
    told = differences("\n".join(lines), "\n".join(changed))
    assert [line for kind, line in told if kind == "added"] == ["other"]
    assert told[0] == ("place", "@@ -9997,9 +9997,9 @@")
    assert differences("\n".join(lines[:3000]), "\n".join(reversed(lines[:3000]))) is None


def test_lines_that_come_again_and_again_take_no_longer():
    before, after = ("\n".join(f"{number % 107 * step % 107}" for number in range(1495)) for step in (5, 7))
    begun = process_time()
    assert differences(f"x\n{before}\ny", f"z\n{after}\nw")
    assert process_time() - begun < 5
