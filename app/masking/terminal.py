"""What a terminal shows of a text: none of its sequences (ECMA-48 §5.4, ECMA-35 §13.2), raw or escaped, and
of a raw string that one begins (``ESC ]``: a title, the address of a link) nothing until its end.
"""

import re

from app.masking.reading import ESCAPE, visible

_END = rb"\x07\x18\x1a\x1b\xc2"  # of a string: BEL, CAN, SUB, ESC; ST, which is C2 9C in UTF-8
_REST = rb"[^" + _END + rb"]*+(?:\xc2(?!\x9c)[^" + _END + rb"]*+)*+"
_REST_OF_STRING = re.compile(_REST)
_HIDDEN = re.compile(
    rb"(?P<string>(?:\x1b[\]PX^_]|\xc2[\x90\x98\x9d-\x9f])" + _REST + rb")"
    rb"|\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|[ -/]{1,8}[0-~]|[0-Z\\^-~])"
    rb"|" + ESCAPE + rb"(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|[ -/]{1,8}[0-~]|[0-Z\\^-~])"
    rb"|\xc2\x9b[0-?]{0,64}[ -/]{0,8}[@-~]"
    rb"|\xc2[\x80-\x9f]"
)
_ESCAPED = (rb"\u001b", rb"\u001B", rb"\x1b", rb"\x1B", rb"\033", rb"\e")


class Terminal:
    """Reads a stream in pieces, which may end in the middle of a string."""

    def __init__(self) -> None:
        self._inside = False
        self._strings: list[tuple[int, int]] = []

    def shown(self, text: bytes, seen: bytes) -> bytes:
        """``seen``, which is ``visible(text)``, with NUL in the places of what a terminal would not show."""
        self._strings = []
        if not self._inside and not _hides_more(text, seen):
            return seen
        shown = bytearray(text)
        at = 0
        if self._inside and (rest := _REST_OF_STRING.match(text)):
            at = rest.end()
            shown[:at] = bytes(at)
            self._strings.append((-1, at))
        for hidden in _HIDDEN.finditer(text, at):
            start, end = hidden.span()
            shown[start:end] = bytes(end - start)
            if hidden["string"]:
                self._strings.append((start, end))
        return visible(bytes(shown))

    def pass_over(self, size: int) -> None:
        """The first ``size`` bytes of the last text are not part of the next."""
        self._inside = any(start < size <= end for start, end in self._strings)


def _hides_more(text: bytes, seen: bytes) -> bool:
    return b"\x1b" in seen or b"\xc2" in text or (b"\\" in text and any(map(text.__contains__, _ESCAPED)))
