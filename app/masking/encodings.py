"""What programs make of a text when they print it."""

import html
import json
import re
from base64 import b64encode, encodebytes
from collections.abc import Iterator
from itertools import product
from urllib.parse import quote_from_bytes

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_BETWEEN = re.compile(r"[ \"'\\]")
_KEPT_BY_URL_ENCODERS = ("", "/", "*", "!'()*", ";/?:@&=+$,#!'()*")
"""By RFC 3986, Python, HTML forms, encodeURIComponent and encodeURI, besides letters, digits and ``_.-~``."""


def url_encoded(plain: bytes) -> Iterator[bytes]:
    for kept in _KEPT_BY_URL_ENCODERS:
        quoted = quote_from_bytes(plain, kept)
        for tilde in (quoted, quoted.replace("~", "%7E")):
            for form in (tilde, tilde.replace("%20", "+")):
                yield form.encode()
                yield re.sub(r"%..", lambda octet: octet[0].lower(), form).encode()


def json_escaped(text: str) -> Iterator[bytes]:
    """Non-ASCII, slashes and (as Go does) HTML's signs escaped or not; hexadecimal in either case."""
    for only_ascii, slash, guard in product((False, True), repeat=3):
        form = json.dumps(text, ensure_ascii=only_ascii)[1:-1]
        if slash:
            form = form.replace("/", r"\/")
        if guard:
            form = re.sub("[<>&]", lambda sign: f"\\u{ord(sign[0]):04x}", form)
        yield form.encode()
        yield re.sub(r"\\u....", lambda escape: r"\u" + escape[0][2:].upper(), form).encode()


def markup_escaped(text: str) -> Iterator[bytes]:
    """As XML and HTML do, with the names and numbers that Python, Go and others give to quotes."""
    for quotes in ({}, {"'": "&#x27;"}, {"'": "&#39;"}, {"'": "&apos;"}, {"'": "&#39;", '"': "&#34;"}):
        signs = {'"': "&quot;", **quotes} if quotes else {}
        form = html.escape(text, quote=False)
        yield "".join(signs.get(sign, sign) for sign in form).encode()


def source_escaped(text: str) -> Iterator[bytes]:
    """As literals of Python (``ascii``, ``repr`` of the bytes) and of the shell (``printf %q``)."""
    yield ascii(text)[1:-1].encode()
    yield repr(text.encode())[2:-1].encode()
    if _BETWEEN.search(text):  # else it is seen without the backslashes; shells and ``quotemeta``
        for kept in (r"\w\n.,:+/@%=-", r"\w\n"):
            yield re.sub(f"([^{kept}])", r"\\\1", text).encode()
    yield "".join(chr(byte) if byte < 0x80 else f"\\{byte:03o}" for byte in text.encode()).encode()  # noqa: PLR2004 - ASCII ends there


def byte_by_byte(raw: bytes) -> Iterator[bytes]:
    """Hexadecimal in both cases: plain, with colons, for URLs, and as in C without its backslash."""
    lower = raw.hex(":")
    for digits in (lower, lower.upper()):
        yield digits.encode()
        for before in ("", "%", "x"):
            yield (before + digits.replace(":", before)).encode()


def base64(raw: bytes) -> Iterator[bytes]:
    """The characters that ``raw`` alone determines, at each of the three alignments, in both alphabets."""
    for lead in range(3):
        first, last = -(-lead * 8 // 6), (lead + len(raw)) * 8 // 6
        text = b64encode(bytes(lead) + raw)[first:last]
        yield text
        yield text.translate(_URL_SAFE)


def base64_twice(raw: bytes) -> Iterator[bytes]:
    """Wrapped inside only where it begins there."""
    for inner in {*base64(raw), b64encode(raw), encodebytes(raw)}:
        yield from base64(inner)
