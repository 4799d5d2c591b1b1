"""Every form in which a program is likely to print a value, and what of a value is public."""

import json
import re
from collections.abc import Iterator

from app.masking import encodings

SHORTEST = 8
"""Characters; a shorter value would blank ordinary words."""

_ARMOUR = re.compile(r"-----(?:BEGIN|END) [^-\r\n]+-----")
_LINE_END = re.compile(r"\r\n?|\n|(?:\\r)?\\n")  # an escaped one too: a PEM key inside JSON
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]{1,31}://")
_MEMBER = re.compile(r'[{,\[\s]*"[^"\\]{1,80}"\s*:[\s{\["]*')
_KEY = re.compile(r"^[ \t-]*[A-Za-z_][\w.-]{0,80}:(?:[ \t]+|$)", re.MULTILINE)


def is_long_enough(value: str) -> bool:
    """Armour, line breaks and blanks around them not counted."""
    return any(len(_LINE_END.sub("", part.strip())) >= SHORTEST for part in _ARMOUR.split(value))


def public(value: str) -> set[str]:
    """What says nothing: PEM armour, the scheme of a URL, names of members in JSON and of keys in YAML."""
    found = {f"{armour}\n" for armour in _ARMOUR.findall(value)} | set(_SCHEME.findall(value))
    if value.startswith(("{", "[")):
        found.update(_MEMBER.findall(value))
    if "\n" in value:
        found.update(_KEY.findall(value))
    return found


def forms(value: str) -> set[bytes]:
    return {form for text in _texts(value) for form in _forms(text)}


def long_forms(value: str) -> set[bytes]:
    """Those that need two and more characters for one, mostly digits: eight of them are easily met."""
    return {form for text in _texts(value) for form in encodings.byte_by_byte(text.encode())}


def _texts(value: str) -> set[str]:
    """A value and whatever an encoder may have seen of it: with other line ends, or a line alone."""
    unix = "\n".join(_LINE_END.split(value))
    whole = {value, unix, unix.replace("\n", "\r\n")}
    alone = {line.strip() for line in unix.split("\n")} if "\n" in unix else set()
    return whole | {line for line in alone if len(line) >= SHORTEST} | set(_members(value))


def _members(value: str) -> Iterator[str]:
    """The strings in a JSON object or array, without its escapes."""
    if not value.startswith(("{", "[")):
        return
    try:
        rest = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while rest:
        match rest.pop():
            case str(text) if len(text) >= SHORTEST:
                yield text
            case dict(members):
                rest += members.values()
            case list(items):
                rest += items


def _forms(text: str) -> Iterator[bytes]:
    raw = text.encode()
    plain = {raw, *encodings.json_escaped(text)}
    encoded = {form for each in plain for form in encodings.base64(each)} | set(encodings.base64_twice(raw))
    yield from plain
    yield from encodings.url_encoded(raw)
    yield from encodings.markup_escaped(text)
    yield from encodings.source_escaped(text)
    yield from encoded
    for form in encoded:
        if b"+" in form or b"/" in form:
            for kept in (form.replace(b"/", b"%2F"), form):
                yield kept.replace(b"+", b"%2B")
                yield kept.replace(b"+", b"%2b").replace(b"%2F", b"%2f")
