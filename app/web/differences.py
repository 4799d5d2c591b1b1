"""How two texts differ, line by line."""

import difflib
from collections.abc import Iterator, Sequence
from itertools import takewhile

Line = tuple[str, str]
_CONTEXT = 4
_MOST = 3_000
"""Lines of both together that are compared: finding out how they differ takes long for more."""


def differences(before: str, after: str) -> list[Line] | None:
    """Lines with what became of each: ``kept``, ``added``, ``removed``, ``place``; none of too many."""
    old, new = before.splitlines(), after.splitlines()
    head = _alike(old, new)
    tail = _alike(old[head:][::-1], new[head:][::-1])
    first = max(0, head - _CONTEXT)
    old, new = (lines[first : len(lines) - max(0, tail - _CONTEXT)] for lines in (old, new))
    return None if len(old) + len(new) > _MOST else list(_compared(old, new, first))


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines at the beginning."""
    return sum(1 for _ in takewhile(bool, map(str.__eq__, one, other)))


def _compared(old: Sequence[str], new: Sequence[str], first: int) -> Iterator[Line]:
    """``first``: how many lines there are before these, in both."""
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT):
        (_, i, _, j, _), (_, _, i_end, _, j_end) = group[0], group[-1]
        yield "place", f"@@ -{_place(first + i, i_end - i)} +{_place(first + j, j_end - j)} @@"
        for what, i1, i2, j1, j2 in group:
            if what == "equal":
                yield from (("kept", line) for line in old[i1:i2])
            else:
                yield from (("removed", line) for line in old[i1:i2])
                yield from (("added", line) for line in new[j1:j2])


def _place(before: int, count: int) -> str:
    """As a unified diff says it: counted from 1, and of no lines the one that they would follow."""
    return f"{before + bool(count)},{count}"
