"""Masks one ordered stream of bytes as it comes."""

from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

from app.masking.reading import Reading, cut_sequence, visible
from app.masking.shapes import JWT_REACH, Shapes
from app.masking.spans import Span, union
from app.masking.terminal import Terminal
from app.masking.windows import Windows

MASK = b"[MASKED]"
_GOES_ON = range(0x80, 0xC0)


class View(NamedTuple):
    """What is looked for in one reading of the text."""

    reading: Reading
    windows: Windows


class MaskedStream:
    """What is held back is bounded: what may be the beginning of a JWT, and of an unfinished line the last
    fifteen characters. However the stream is cut, no eight characters of a value go out; and where it is not
    cut right after a line break inside a value, the same bytes do.
    """

    def __init__(self, views: tuple[View, ...]) -> None:
        self._raw = tuple(map(_Trail, views))
        self._terminal = Terminal()
        self._shown: tuple[_Trail, ...] = ()  # while a terminal shows something else than what is there
        self._shapes = Shapes()
        self._held = b""
        self._covered = 0  # so many of the bytes to come lie in a span that began in bytes gone out
        self._after_mask = False

    def feed(self, chunk: bytes) -> bytes:
        """What can go out now that ``chunk`` is known."""
        self._held += chunk
        return self._release(closing=False)

    def close(self) -> bytes:
        """The rest: what had begun like a value and is none."""
        return self._release(closing=True)

    def _release(self, *, closing: bool) -> bytes:
        text = self._held
        seen = visible(text if closing else text[: cut_sequence(text)])
        read = self._read(text, seen)
        values = [_to_whole_characters(span, text) for trail, seen in read for span in trail.find(seen)]
        shapes, undecided = self._shapes.find(text)
        upto = len(text) if closing else min(undecided, _settled(text, read))
        out = self._masked(text, upto, union([(0, self._covered), *values, *shapes]))
        self._held = text[upto:]
        self._shapes.forget(upto)
        for trail, seen in read:
            trail.pass_over(seen[:upto])
        self._terminal.pass_over(upto)
        if self._shown == self._raw:
            self._shown = ()
        return out

    def _read(self, text: bytes, seen: bytes) -> list[tuple["_Trail", bytes]]:
        """As it is, and as a terminal shows it where that is something else."""
        shown = self._terminal.shown(text[: len(seen)], seen)
        if shown != seen:
            self._shown = self._shown or tuple(map(copy, self._raw))
        return [*((trail, seen) for trail in self._raw), *((trail, shown) for trail in self._shown)]

    def _masked(self, text: bytes, upto: int, spans: list[Span]) -> bytes:
        if not upto:
            return b""
        out, at = [], 0
        for start, end in spans:
            if start >= upto:
                break
            out.append(text[at:start])
            if start or not self._after_mask:
                out.append(MASK)
            at = end
        out.append(text[at:upto])
        self._after_mask, self._covered = at >= upto, max(at - upto, 0)
        return b"".join(out)


@dataclass
class _Trail:
    """A view of a stream, with the characters that went before the text at hand."""

    view: View
    _before: bytes = b""

    @property
    def fewer(self) -> int:
        """So many characters of a value may be seen."""
        return self.view.windows.size - 1

    def find(self, seen: bytes) -> list[Span]:
        """Places of values in ``seen``; what began before it begins at 0."""
        reading, windows = self.view
        if not windows:
            return []
        found = windows.find(self._before + reading.characters(seen))
        if not found:
            return []
        gone = len(self._before)
        firsts = reading.places(seen, (max(start - gone, 0) for start, _ in found))
        lasts = reading.places(seen, (end - gone - 1 for _, end in found))
        if found[0][0] < gone:
            firsts[0] = 0
        return [(first, last + 1) for first, last in zip(firsts, lasts, strict=True)]

    def pass_over(self, seen: bytes) -> None:
        self._before = (self._before + self.view.reading.characters(seen))[-self.fewer :]


def _settled(text: bytes, read: list[tuple[_Trail, bytes]]) -> int:
    """The end of the last finished line, or later: what can still become the beginning of a window."""
    floor = max(text.rfind(b"\n") + 1, len(text) - JWT_REACH)
    return min(trail.view.reading.last(trail.fewer, seen, floor) for trail, seen in read)


def _to_whole_characters(span: Span, text: bytes) -> Span:
    """Of UTF-8, of which a window may cut one at either end; none has more than three bytes that go on."""
    start, end = span
    for _ in range(3):
        start -= start > 0 and text[start] in _GOES_ON
        end += end < len(text) and text[end] in _GOES_ON
    return start, end
