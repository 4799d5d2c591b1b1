"""A value, in an encoding, torn apart in some way, cut into writes: nothing of it can be read in the log."""

import html
import json
import re
import shlex
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from itertools import pairwise
from random import Random
from urllib.parse import quote, quote_plus

import pytest

from app.masking import MASK, Masker
from app.secret import Secret
from tests.support.effort import count
from tests.support.leaks import leaks

KEY = "".join(
    Random(1).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=640)  # noqa: S311 - the same each time
)
PEM = "\n".join(["-----BEGIN PRIVATE KEY-----", *re.findall(".{1,64}", KEY), "-----END PRIVATE KEY-----", ""])
DOCUMENT = json.dumps({"username": "deploy-bot", "password": 'x8"Zq/\\7ü+Lm=2', "private_key": PEM}, indent=2)
VALUES = {
    "token": "glpat-Xy3_9kQz7-LmNo4PqRsT",
    "password": 'pä/s+s "w0rd" & more~',
    "passphrase": "correct horse battery staple",
    "short": "hunter22",
    "hex": "9f86d081884c7d659a2feaa0c55ad015",
    "base64": "dGhpcyBpcyBub3QgYSBzZWNyZXQ/Pz8+Pj4=",
    "signs": "!@#$%^&*()_+{}|:<>?~`-=[];,./",
    "cyrillic": "ключ-от-всего-на-свете",
    "emoji": "🔑🚪🏠🔒🗝️ключ🔐🛡️🧱",
    "url": "postgres://app:s3cr3t-pw@db.internal.example:5432/app?sslmode=require",
    "lines": "user: alice\n  password: hunter22-and-more\nend of it all",
    "PEM": PEM,
    "JSON": DOCUMENT,
    "long": "".join(Random(2).choices("abcdefghijklmnopqrstuvwxyzABCDEF0123456789_-", k=3000)),  # noqa: S311 - the same each time
}
PUBLIC = (
    *("-----BEGIN PRIVATE KEY-----\\n", "-----END PRIVATE KEY-----", "postgres://", '-----\\n"\n}'),
    *(
        '{\n  "username": "',
        ',\n  "password": "',
        ',\n  "private_key": "-----BEGIN PRIVATE KEY-----',
        "\n  password: ",
    ),
)


def basic(value: str) -> bytes:
    return b64encode(b"user:" + value.encode() + b"\n")


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "base64": lambda value: b64encode(value.encode()),
    "base64 after one byte": lambda value: b64encode(b"=" + value.encode()),
    "base64 after two": lambda value: b64encode(b"==" + value.encode()),
    "base64, URL-safe": lambda value: urlsafe_b64encode(value.encode()).rstrip(b"="),
    "base64, wrapped": lambda value: encodebytes(value.encode()),
    "base64 twice": lambda value: b64encode(b64encode(value.encode())),
    "base64 of a Basic credential": lambda value: b64encode(basic(value)),
    "base64 of wrapped base64": lambda value: b64encode(encodebytes(value.encode())),
    "base64, quoted": lambda value: quote(b64encode(value.encode()), safe="").encode(),
    "base64 in JSON": lambda value: json.dumps({"": b64encode(value.encode()).decode()}).encode(),
    "base64 of JSON": lambda value: b64encode(json.dumps({"p": value}).encode()),
    "basic": basic,
    "hex": lambda value: value.encode().hex().encode(),
    "HEX": lambda value: value.encode().hex().upper().encode(),
    "hex with colons": lambda value: value.encode().hex(":").encode(),
    "hex dump": lambda value: "\n".join(re.findall(".{1,47}", value.encode().hex(" "))).encode(),
    "percent": lambda value: quote(value, safe="").encode(),
    "form": lambda value: quote_plus(value).encode(),
    "JSON": lambda value: json.dumps({"key": value}).encode(),
    "JSON, UTF-8": lambda value: json.dumps({"key": value}, ensure_ascii=False).encode(),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"key": value})).encode(),
    "shell": lambda value: shlex.quote(value).encode(),
    "shell, escaped": lambda value: re.sub(r"([^\w\n])", r"\\\1", value).encode(),
    "repr": lambda value: repr(value).encode(),
    "repr of bytes": lambda value: repr(value.encode()).encode(),
    "markup": lambda value: html.escape(value).encode(),
}
Tear = Callable[[bytes, Random], bytes]


def joined(with_: bytes, parts: list[bytes]) -> bytes:
    return with_.join(parts)


def pieces(text: bytes, rng: Random, most: int) -> list[bytes]:
    bounds = sorted({0, len(text), *(rng.randrange(len(text)) for _ in range(rng.randint(1, most)))})
    return [text[start:end] for start, end in pairwise(bounds)]


def every(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def interleaved(text: bytes, rng: Random) -> bytes:
    lines = [
        b"warning: on the other stream\n",
        b"E: 42%\r",
        b"2026-11-22 10:00:00 DEBUG x=1\n" * rng.randint(1, 200),
    ]
    return rng.choice(lines).join(pieces(text, rng, 5))


TEARS: dict[str, Tear] = {
    "whole": lambda text, _: text,
    "wrapped": lambda text, rng: joined(b"\n", every(text, rng.randint(1, 90))),
    "wrapped for Windows": lambda text, rng: joined(b"\r\n", every(text, rng.randint(1, 90))),
    "wrapped and indented": lambda text, rng: joined(b"\n        ", every(text, rng.randint(1, 90))),
    "wrapped in a literal": lambda text, rng: joined(b"'\n '", every(text, rng.randint(1, 90))),
    "wrapped in JSON": lambda text, rng: joined(b"\\n", every(text, rng.randint(1, 90))),
    "wrapped and quoted": lambda text, rng: joined(b"%0A", every(text, rng.randint(1, 90))),
    "with times": lambda text, rng: joined(b"\n12:00:00.123 | ", every(text, rng.randint(8, 90))),
    "carriage returns": lambda text, rng: joined(b"\r", pieces(text, rng, 9)),
    "colours": lambda text, rng: joined(b"\x1b[1;38;5;208m", every(text, rng.randint(1, 9))),
    "colours in JSON": lambda text, rng: joined(b"\\u001b[0m", every(text, rng.randint(1, 9))),
    "cursor movements": lambda text, rng: joined(b"\x1b[K\x1b[2G", pieces(text, rng, 9)),
    "tput sgr0": lambda text, rng: joined(b"\x1b(B\x1b[m", every(text, rng.randint(1, 9))),
    "ESC 7": lambda text, rng: joined(
        rng.choice([b"\x1b7", b"\x1b8", b"\x1bM", b"\x1b="]), pieces(text, rng, 9)
    ),
    "C1": lambda text, rng: joined(rng.choice([b"\xc2\x9b1m", b"\xc2\x85"]), every(text, rng.randint(1, 9))),
    "titles": lambda text, rng: joined(b"\x1b]0;a title\x07", every(text, rng.randint(1, 9))),
    "hyperlinks": lambda text, rng: joined(b"\x1b]8;;http://h/\x1b\\", every(text, rng.randint(1, 9))),
    "device control": lambda text, rng: joined(b"\x1bP1$r\n0m\xc2\x9c", pieces(text, rng, 9)),
    "hyperlink": lambda text, _: b"\x1b]8;;https://h.example/" + text + b"\x07link\x1b]8;;\x07",
    "UTF-16": lambda text, _: text.decode().encode("utf-16-le") if text.isascii() else text,
    "two streams": interleaved,
}


def writes(text: bytes, rng: Random) -> list[bytes]:
    match rng.randrange(3):
        case 0:
            return [text]
        case 1:
            return every(text, rng.choice([1, 2, 7, 64]))
        case _:
            return pieces(text, rng, 12)


@pytest.fixture(scope="module")
def maskers() -> dict[str, Masker]:
    made = {}
    for name, value in VALUES.items():
        made[name] = Masker()
        made[name].add(Secret(value), "NAME")
    return made


@pytest.mark.parametrize("tear", TEARS)
def test_nothing_of_a_value_can_be_read_in_a_log(tear, maskers):
    rng = Random(tear)  # noqa: S311 - the same each time
    for _ in range(count(ci=500, proof=5000) // len(TEARS) + 1):
        name, encoding = rng.choice(list(VALUES)), rng.choice(list(ENCODINGS))
        printed = TEARS[tear](ENCODINGS[encoding](VALUES[name]), rng)
        stream = maskers[name].stream()
        cut = writes(b"before " + printed + b"\nafter\n", rng)
        stored = b"".join([*map(stream.feed, cut), stream.close()])
        said = (name, encoding, [len(each) for each in cut][:40])
        assert not leaks(VALUES[name], stored, public=PUBLIC), said
        assert stored.startswith(b"before "), said
        assert stored.endswith(b"\nafter\n"), said


def test_the_oracle_sees_what_is_there():
    """In each encoding, and torn as long as eight characters stay together."""
    for name, value in VALUES.items():
        for encoding, encode in ENCODINGS.items():
            assert leaks(value, b"before " + encode(value) + b"\n", public=PUBLIC), (name, encoding)
    for tear in ("wrapped", "colours", "tput sgr0", "ESC 7", "C1", "titles", "hyperlinks", "two streams"):
        torn = TEARS[tear](VALUES["long"].encode(), Random(3))  # noqa: S311 - the same each time
        assert leaks(VALUES["long"], torn), tear


@pytest.mark.parametrize("name", VALUES)
def test_a_log_that_says_nothing_stays_byte_for_byte(name, maskers):
    rng = Random(name)  # noqa: S311 - the same each time
    words = [
        b"compiling",
        b"src/module.c",
        b"\x1b[32mok\x1b[0m",
        b"\\n",
        b"%0A",
        b"{'a': \"b\"}",
        b"\r\n",
        b"\n",
        b" ",
        b"\xff\x00",
        b"7% ",
    ]
    text = b"".join(rng.choice(words) for _ in range(2000))
    stream = maskers[name].stream()
    assert b"".join([*map(stream.feed, writes(text, rng)), stream.close()]) == text


def test_of_a_whole_value_one_mask_is_left(maskers):
    for name in ("token", "password", "passphrase", "hex", "long", "cyrillic"):
        stream = maskers[name].stream()
        whole = stream.feed(VALUES[name].encode() + b"\n")
        assert whole == MASK + b"\n", name


def test_numbers_are_no_part_of_a_value(maskers):
    """Nearly all digits of the hexadecimal form of text are decimal ones."""
    numbers = "".join(f"{number}\n" for number in range(200_000)).encode()
    stream = maskers["long"].stream()
    assert stream.feed(numbers) + stream.close() == numbers
