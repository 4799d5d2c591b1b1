"""How a text is read when values are looked for: without what may stand between two of their characters.

Line breaks and control sequences (``ESC [``, ECMA-48 §5.4), raw or escaped, are no characters to any reader.
``LOOSE`` also leaves out blanks, quotes and backslashes, which wrapping, indenting and quoting put between
characters; ``STRICT`` keeps them, for values that consist of them. What else a terminal does not show is read
here, and left out where the text is read once more (``terminal``): a value may stand in it or around it.
"""

import re
from collections.abc import Iterable
from itertools import compress

_SEQUENCE = rb"\[[0-?]{0,64}[ -/]{0,8}"
_BACKSLASHES = rb"\\(?<!\\\\)\\*+"  # all of them; each alternative below begins with one byte, which is quick
ESCAPE = _BACKSLASHES + rb"(?:u001[bB]|x1[bB]|033|e)"
_UNSEEN = re.compile(
    rb"\x1b" + _SEQUENCE + rb"[@-~]"
    rb"|" + ESCAPE + _SEQUENCE + rb"[@-~]"
    rb"|" + _BACKSLASHES + rb"(?:[bfnrtv]|u00[01][0-9a-fA-F]|x[01][0-9a-fA-F])"
    rb"|%[01][0-9a-fA-F]"
)
_CUT = re.compile(
    rb"(?:(?:\x1b|" + ESCAPE + rb")(?:" + _SEQUENCE + rb"|[ -/]{1,8})?"
    rb"|\xc2(?:\x9b[0-?]{0,64}[ -/]{0,8})?"
    rb"|" + _BACKSLASHES + rb"(?:u(?:0(?:0[01]?)?)?|x[01]?|03?)?"
    rb"|%[01]?)\Z"
)
_LONGEST_CUT = 128
_BLOCK = 1024
_CONTROLS = bytes([*range(0x20), 0x7F])


def visible(text: bytes) -> bytes:
    """As long as ``text``, with NUL in the places of escaped line breaks and of control sequences."""
    if b"\\" in text or b"\x1b" in text or b"%" in text:
        return _UNSEEN.sub(lambda unseen: bytes(len(unseen[0])), text)
    return text


def cut_sequence(text: bytes) -> int:
    """Where something begins that the end of ``text`` cuts off and that may be nothing to read."""
    cut = _CUT.search(text, max(0, len(text) - _LONGEST_CUT))
    return cut.start() if cut else len(text)


class Reading:
    """Works on ``visible`` text; a *character* is a byte of it that is not left out."""

    def __init__(self, left_out: bytes) -> None:
        self._left_out = _CONTROLS + left_out
        self._kept = bytes(byte not in self._left_out for byte in range(256))

    def characters(self, seen: bytes) -> bytes:
        return seen.translate(None, self._left_out)

    def places(self, seen: bytes, numbers: Iterable[int]) -> list[int]:
        """Of characters in ``seen``, by their numbers in rising order."""
        kept = seen.translate(self._kept)
        found: list[int] = []
        inside: list[int] = []
        before, start, count = 0, -_BLOCK, 0
        for number in numbers:
            while number >= before + count:
                before, start, inside = before + count, start + _BLOCK, []
                count = kept.count(1, start, start + _BLOCK)
            inside = inside or list(compress(range(start, start + _BLOCK), kept[start : start + _BLOCK]))
            found.append(inside[number - before])
        return found

    def last(self, count: int, seen: bytes, start: int) -> int:
        """Where the last ``count`` characters begin; ``start`` if there are not so many from there on."""
        kept = seen[start:].translate(self._kept)
        place = len(kept)
        while count and place >= 0:
            place = kept.rfind(1, 0, place)
            count -= 1
        return start + max(place, 0)


STRICT, LOOSE = Reading(b""), Reading(b" \"'\\")
