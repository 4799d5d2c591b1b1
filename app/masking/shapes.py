"""Text shaped like a JWT, whoever made it."""

import re
from collections.abc import Iterator
from operator import attrgetter, ge
from typing import NamedTuple

from app.masking.spans import Span

JWT_REACH = 16_384
"""Bytes for which what begins like a JWT is held back; what goes on beyond them is masked as one."""


class _Shape(NamedTuple):
    start: int  # -1: among bytes that have gone out
    end: int
    dots: int  # that it may still take in
    certain: bool

    def reaches_end(self, text: bytes) -> bool:
        return self.end + (self.dots > 0 and text.startswith(b".", self.end)) == len(text)


class Shapes:
    """Finds text shaped like a JWT: three dotted base64url parts, the first the beginning of a JSON object.

    The least sizes are low, since ``eyJ`` (``{"``) with two dots to follow is seldom anything else; an
    unsigned token's third part is empty (RFC 7519 §6.1).
    """

    _OPENING = b"eyJ"
    _LEAST = (10, 4, 0)
    _PARTS = re.compile(rb"([\w-]++)(?:\.([\w-]++)(?:\.([\w-]*+))?)?")
    _REST = tuple(
        map(re.compile, (rb"[\w-]*+", rb"[\w-]*+(?:\.[\w-]*+)?", rb"[\w-]*+(?:\.[\w-]++(?:\.[\w-]*+)?)?"))
    )

    def __init__(self) -> None:
        self._certain: list[_Shape] = []

    def find(self, text: bytes) -> tuple[list[Span], int]:
        """Where they stand, and where the first begins that may go on after the end.

        What has outgrown ``JWT_REACH`` counts as found.
        """
        if not self._certain and self._OPENING not in text:
            return [], self._cut_opening(text)
        shapes = [*(self._grown(shape, text) for shape in self._certain), *self._begun(text)]
        cut = [shape for shape in shapes if shape.reaches_end(text)]
        self._certain = [shape for shape in shapes if shape.certain]
        undecided = min((shape.end if shape.certain else shape.start for shape in cut), default=len(text))
        spans = [(max(shape.start, 0), shape.end) for shape in self._certain]
        return spans, min(undecided, self._cut_opening(text))

    def forget(self, size: int) -> None:
        """The first ``size`` bytes have gone out; what began in them is from now on followed by its end."""
        if not self._certain:
            return
        broken = (shape for shape in self._certain if shape.start < size <= shape.end)
        longest = max(broken, key=attrgetter("end", "dots"), default=None)
        self._certain = [longest._replace(start=-1, end=longest.end - size)] if longest else []

    def _begun(self, text: bytes) -> Iterator[_Shape]:
        start = text.find(self._OPENING)
        while parts := start >= 0 and self._PARTS.match(text, start):
            sizes = [len(part) for part in parts.groups() if part is not None]
            dots = len(self._LEAST) - len(sizes)
            complete = not dots and all(map(ge, sizes, self._LEAST))
            certain = complete or parts.end() - start > JWT_REACH
            yield _Shape(start, parts.end(), dots, certain)
            start = text.find(self._OPENING, parts.end(1))  # one in this part would end alike

    @classmethod
    def _grown(cls, shape: _Shape, text: bytes) -> _Shape:
        rest = cls._REST[shape.dots].match(text, shape.end)
        return shape._replace(end=rest.end(), dots=shape.dots - rest[0].count(b".")) if rest else shape

    @staticmethod
    def _cut_opening(text: bytes) -> int:
        return len(text) - (2 if text.endswith(b"ey") else text.endswith(b"e"))
