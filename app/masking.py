"""Keeps secrets and tokens out of logs.

A value is looked for in every form a program is likely to print it in (``_forms``), and so is text shaped
like a JWT, known or not. Out of reach: a part of a value alone, and what a program does to a value beyond
these forms (encryption, base32, reversal).
"""

import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import compress, count, product
from operator import attrgetter, ge
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from app.errors import InvalidInput
from app.secret import Secret

MASK = b"[MASKED]"
SHORTEST = 8
"""Characters; a shorter value would blank ordinary words."""
JWT_REACH = 16_384
"""Bytes for which what begins like a JWT is held back; what goes on beyond them is masked as one."""

_Span = tuple[int, int]

_ARMOUR = re.compile(r"-----(?:BEGIN|END) [^-\r\n]+-----")
_LINE_END = re.compile(r"\r\n?|\n|(?:\\r)?\\n")  # an escaped one too: a PEM key inside JSON
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_KEPT_BY_URL_ENCODERS = ("", "/", "*", "!'()*", ";/?:@&=+$,#!'()*")
"""By RFC 3986, Python, HTML forms, encodeURIComponent and encodeURI, besides letters, digits and ``_.-~``."""


class Masker:
    """Holds the values that must not be seen, and blanks them out of text.

    Values may be added at any time: what is fed to a stream afterwards is masked.
    """

    def __init__(self) -> None:
        self._needles = _Needles()
        self._values = 0

    def __repr__(self) -> str:
        return f"Masker({self._values} values)"

    @property
    def reach(self) -> int:
        """The most bytes that a stream ever holds back."""
        return max(self._needles.longest - 1, JWT_REACH + 1)

    def add(self, value: Secret, name: str) -> None:
        """Refuses what is too short to be masked, blanks at its ends and PEM armour not counted."""
        pieces = _pieces(value.reveal())
        if not pieces:
            raise InvalidInput(
                f"{name}: a secret needs at least {SHORTEST} characters to be masked, "
                "a shorter one would blank ordinary words in the log; use a longer one"
            )
        try:
            needles = {form for piece in pieces for form in _forms(piece)}
        except UnicodeEncodeError:  # it would show the value
            raise InvalidInput(f"{name}: a secret must be text that UTF-8 can carry") from None
        self._needles.add(needles)
        self._values += 1

    def add_token(self, token: Secret, name: str) -> None:
        """Enters a JWT, and each of its parts as a value of its own (RFC 7515 §7.1).

        The header is public and hides nothing; it is entered all the same, so that no part is a special case.
        """
        parts = token.reveal().split(".")
        if len(parts) != 3 or min(map(len, parts)) < SHORTEST:  # noqa: PLR2004 - header, payload, signature
            raise InvalidInput(f"{name}: not a signed JWT in its compact form")
        for value in (token, *map(Secret, parts)):
            self.add(value, name)

    def mask(self, text: str) -> str:
        """A whole short text, such as an error message."""
        stream = self.stream()
        whole = stream.feed(text.encode("utf-8", "surrogatepass")) + stream.close()
        return whole.decode("utf-8", "surrogatepass")

    def stream(self) -> "MaskedStream":
        return MaskedStream(self._needles)


class MaskedStream:
    """One ordered stream of bytes, masked alike however it is cut into chunks.

    Only what may still turn out to be the beginning of a value is held back, at most ``Masker.reach`` bytes.
    """

    def __init__(self, needles: "_Needles") -> None:
        self._needles = needles
        self._shapes = _Shapes()
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
        values, undecided_value = self._needles.find(text)
        shapes, undecided_shape = self._shapes.find(text)
        upto = len(text) if closing else min(undecided_value, undecided_shape)
        out = self._masked(text, upto, _union([(0, self._covered), *values, *shapes]))
        self._held = text[upto:]
        self._shapes.forget(upto)
        return out

    def _masked(self, text: bytes, upto: int, spans: list[_Span]) -> bytes:
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


class _Needles:
    """Finds many strings at once, in time that hardly depends on how many.

    Text is read in aligned words of four bytes. Whatever is at least seven bytes long covers one of them
    wholly, at an offset of 0 to 3 from its start; so an occurrence shows as a word known from there.
    """

    def __init__(self) -> None:
        self.longest = 0
        self._known: set[bytes] = set()
        self._by_word: dict[int, list[tuple[int, bytes]]] = {}
        self._beginnings: set[bytes] = set()  # of one to six bytes: too short to cover a word for certain

    def add(self, needles: set[bytes]) -> None:
        for needle in needles - self._known:
            self._beginnings.update(needle[:size] for size in range(1, 7))
            for offset in range(4):
                word = int.from_bytes(needle[offset : offset + 4], sys.byteorder)
                self._by_word.setdefault(word, []).append((offset, needle))
            self.longest = max(self.longest, len(needle))
        self._known |= needles

    def find(self, text: bytes) -> tuple[list[_Span], int]:
        """Every occurrence, overlapping ones too, and where the first begins that the text's end cuts off."""
        spans, undecided = [], self._short_beginning(text)
        words = memoryview(text)[: len(text) & ~3].cast("I")
        for index in compress(count(), map(self._by_word.__contains__, words)):
            for offset, needle in self._by_word[words[index]]:
                start = index * 4 - offset
                end = start + len(needle)
                if start < 0:
                    continue
                if text.startswith(needle, start):
                    spans.append((start, end))
                elif start < undecided and end > len(text) and needle.startswith(text[start:]):
                    undecided = start
        return spans, undecided

    def _short_beginning(self, text: bytes) -> int:
        for size in range(min(6, len(text)), 0, -1):
            if text[-size:] in self._beginnings:
                return len(text) - size
        return len(text)


class _Shape(NamedTuple):
    start: int  # -1: among bytes that have gone out
    end: int
    dots: int  # that it may still take in
    certain: bool

    def reaches_end(self, text: bytes) -> bool:
        return self.end + (self.dots > 0 and text.startswith(b".", self.end)) == len(text)


class _Shapes:
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

    def find(self, text: bytes) -> tuple[list[_Span], int]:
        """Like ``_Needles.find``; what has outgrown ``JWT_REACH`` counts as found."""
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


def _union(spans: Iterable[_Span]) -> list[_Span]:
    """In order; what overlaps or touches is one."""
    union: list[_Span] = []
    for start, end in sorted(spans):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        elif start < end:
            union.append((start, end))
    return union


def _pieces(value: str) -> set[str]:
    """What of a value is looked for: all of it and each line, less blanks around it and PEM armour."""
    pieces = set()
    for block in _ARMOUR.split(value):
        lines = _LINE_END.split(block)
        unix = "\n".join(lines).strip()
        pieces |= {block.strip(), unix, unix.replace("\n", "\r\n"), *(line.strip() for line in lines)}
    return {piece for piece in pieces if len(piece) >= SHORTEST}


def _forms(piece: str) -> set[bytes]:
    """Every form in which a program may print it."""
    raw = piece.encode()
    percent = "".join(f"%{byte:02X}" for byte in raw).encode()
    unescaped = {raw, *_base64(raw)}
    return {
        *(form for plain in unescaped for form in (plain, *_url_encoded(plain), *_json_escaped(plain))),
        *(raw.hex().encode(), raw.hex().upper().encode(), percent, percent.lower()),
    }


def _base64(raw: bytes) -> Iterator[bytes]:
    """The characters that ``raw`` alone determines, at each of the three alignments, in both alphabets."""
    for lead in range(3):
        first, last = -(-lead * 8 // 6), (lead + len(raw)) * 8 // 6
        text = b64encode(bytes(lead) + raw)[first:last]
        yield text
        yield text.translate(_URL_SAFE)


def _url_encoded(plain: bytes) -> Iterator[bytes]:
    for kept in _KEPT_BY_URL_ENCODERS:
        quoted = quote_from_bytes(plain, kept)
        for tilde in (quoted, quoted.replace("~", "%7E")):
            for form in (tilde, tilde.replace("%20", "+")):
                yield form.encode()
                yield re.sub(r"%..", lambda octet: octet[0].lower(), form).encode()


def _json_escaped(plain: bytes) -> Iterator[bytes]:
    """Non-ASCII, slashes and (as Go does) HTML's signs escaped or not; hexadecimal in either case."""
    text = plain.decode()
    for only_ascii, slash, guard in product((False, True), repeat=3):
        form = json.dumps(text, ensure_ascii=only_ascii)[1:-1]
        if slash:
            form = form.replace("/", r"\/")
        if guard:
            form = re.sub("[<>&]", lambda sign: f"\\u{ord(sign[0]):04x}", form)
        yield form.encode()
        yield re.sub(r"\\u....", lambda escape: r"\u" + escape[0][2:].upper(), form).encode()
