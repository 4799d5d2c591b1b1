"""Output of strangers for a terminal: it may be coloured, and steers nothing."""

import re

_STEERING = re.compile(
    rb"(\x1b\[[0-9;:]{0,64}m)|\x1b\[[0-?]*[ -/]*[@-~]|\r(?!\n)"
    rb"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]"
)
_CUT = re.compile(rb"(?:\x1b(?:\[[0-?]{0,64}[ -/]{0,8})?|\xc2|\r)\Z")


class Plain:
    """Takes one stream piece by piece; a sequence that a piece cuts off waits for the next one."""

    def __init__(self) -> None:
        self._held = b""

    def __call__(self, piece: bytes) -> bytes:
        text = self._held + piece
        cut = _CUT.search(text, max(0, len(text) - 80))
        end = cut.start() if cut else len(text)
        self._held = text[end:]
        return _STEERING.sub(_harmless, text[:end])


def _harmless(found: re.Match[bytes]) -> bytes:
    """A colour stays; what would be written over stays readable above."""
    return found[1] or (b"\n" if found[0] == b"\r" else b"")
