"""Says whether a stored log gives away eight characters of a value, in whatever encoding it can be undone.

It shares nothing with the masker: it does not know how a value is printed, it decodes what it finds.
"""

import base64
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

_TERMINAL = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f]")
_ALL_OF_A_TERMINAL = re.compile(
    rb"(?:\x1b[\]PX^_]|\xc2[\x90\x98\x9d-\x9f])[^\x07\x1b]*?(?:\x07|\x1b\\|\xc2\x9c|(?=\x1b)|\Z)"
    rb"|(?:\x1b\[|\xc2\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]+[0-~]|\x1b[0-~]|[\x00-\x1f\x7f]"
)
_CHARACTER = {rb"\n": b"", rb"\r": b"", rb"\t": b""}
LENGTH = 8


def leaks(value: str, stored: bytes, *, public: tuple[str, ...] = ()) -> set[str]:
    """Eight consecutive characters of ``value``, line breaks not counted, that can be read in ``stored``."""
    whole = _without_breaks(value)
    said = {_without_breaks(part) for part in public}
    asked = {whole[at : at + LENGTH] for at in range(len(whole) - LENGTH + 1)}
    asked = {part for part in asked if not any(part in each for each in said) and _tells(part)}
    texts = [_decoded(text) for text in set(_readings(stored))]
    return {part for part in asked if any(part in text for text in texts)}


def _without_breaks(text: str) -> str:
    return re.sub(r"[\r\n]", "", text)


def _decoded(text: bytes) -> str:
    """UTF-8, where escapes have left pairs of surrogates too."""
    try:
        wide = text.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return text.decode(errors="replace")
    return wide.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _tells(part: str) -> bool:
    """Eight times the same, or hardly more than blanks and quotes, is no secret."""
    return len(set(part)) > 1 and len(re.sub(r"[\s\"'\\]", "", part)) >= 5


def _readings(stored: bytes) -> Iterator[bytes]:
    shown = {each.sub(b"", stored) for each in (_TERMINAL, _ALL_OF_A_TERMINAL)}
    for text in {stored, *shown, _unescaped(stored), _unescaped(_unescaped(stored))}:
        yield text
        yield unquote_to_bytes(text)
        yield unquote_to_bytes(text.replace(b"+", b" "))
        yield html.unescape(text.decode(errors="replace")).encode()
        for joined in (text, re.sub(rb"\s", b"", text)):
            yield from _from_hex(joined)
            for inner in _from_base64(joined):
                yield from (inner, _unescaped(inner), *_from_base64(inner))


def _unescaped(text: bytes) -> bytes:
    def character(escape: re.Match[bytes]) -> bytes:
        kind, digits = escape[1], escape[2]
        if digits is None:
            return _CHARACTER.get(escape[0], kind)
        number = int(digits, 8 if kind.isdigit() else 16)
        return (
            bytes([number]) if kind == b"x" or kind.isdigit() else chr(number).encode(errors="surrogatepass")
        )

    text = re.sub(rb"\\([uUx0-7])((?<=u)[0-9a-fA-F]{4}|(?<=x)[0-9a-fA-F]{2})", character, text)
    return re.sub(rb"\\([nrt]|[^\w\n])", lambda escape: _CHARACTER.get(escape[0], escape[1]), text)


def _from_hex(text: bytes) -> Iterator[bytes]:
    for run in re.findall(rb"[0-9a-fA-F:]{16,}", text):
        digits = run.replace(b":", b"").decode()
        for start in range(2):
            part = digits[start:]
            yield bytes.fromhex(part[: len(part) & ~1])


def _from_base64(text: bytes) -> Iterator[bytes]:
    for run in re.findall(rb"[\w+/-]{11,}", unquote_to_bytes(text).replace(rb"\/", b"/")):
        letters = run.translate(bytes.maketrans(b"-_", b"+/"))
        for start in range(4):
            part = letters[start:]
            part = part[: len(part) - (len(part) % 4 == 1)]
            if re.fullmatch(rb"[A-Za-z0-9+/]+", part):
                yield base64.b64decode(part + b"=" * (-len(part) % 4))
