"""What a run prints, and what of it may be kept."""

import json
import re
import tracemalloc
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from itertools import combinations_with_replacement, pairwise
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.masking import JWT_REACH, Masker
from app.secret import Secret

PASSWORD = 'pä/s+s "w0rd" & more~'
KEY_LINES = ["MIIEvQIBADANBgkqhkiG9w0B", "AQEFAASCBKcwggSjAgEAAoIB", "AQC7=="]
PEM = "\n".join(["-----BEGIN PRIVATE KEY-----", *KEY_LINES, "-----END PRIVATE KEY-----", ""])
JWT = (
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IkEifQ.eyJzdWIiOiJwcm9qZWN0X3BhdGg6YS9iIn0.c2lnbmF0dXJlLW9mLTMyLWJ5dGVz_-AA"
)
HEADER, PAYLOAD, SIGNATURE = JWT.split(".")


def masker(*values: str) -> Masker:
    made = Masker()
    for value in values:
        made.add(Secret(value), "NAME")
    return made


def streamed(made: Masker, chunks: Iterable[bytes]) -> bytes:
    stream = made.stream()
    return b"".join([stream.feed(chunk) for chunk in chunks]) + stream.close()


def cut(text: bytes, points: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted(point % (len(text) + 1) for point in points), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


def bytewise(text: bytes) -> list[bytes]:
    return [text[at : at + 1] for at in range(len(text))]


def in_lower_hex(encoded: str) -> str:
    return re.sub(r"%..|\\u....", lambda escape: escape[0].lower(), encoded)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "quote": quote,
    "quote, every reserved character": lambda value: quote(value, safe=""),
    "quote_plus": quote_plus,
    "quote in lower-case hex": lambda value: in_lower_hex(quote(value, safe="")),
    "quote_plus in lower-case hex": lambda value: in_lower_hex(quote_plus(value)),
    "HTML form": lambda value: urlencode({"": value})[1:].replace("~", "%7E"),
    "encodeURIComponent": lambda value: quote(value, safe="!'()*"),
    "encodeURI": lambda value: quote(value, safe=";/?:@&=+$,#!'()*"),
    "every octet percent-encoded": lambda value: "".join(f"%{octet:02X}" for octet in value.encode()),
    "every octet percent-encoded, lower": lambda value: "".join(f"%{octet:02x}" for octet in value.encode()),
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "JSON with escaped slashes": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "JSON in UTF-8 with escaped slashes": lambda value: json.dumps(value, ensure_ascii=False)[1:-1].replace(
        "/", "\\/"
    ),
    "JSON as Go writes it": lambda value: json.dumps(value, ensure_ascii=False)[1:-1].replace("&", "\\u0026"),
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
}
BASE64 = {"standard": b64encode, "URL-safe": urlsafe_b64encode}

READ_OVER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|\\+[a-z0-9]*|%[01]")
values = (
    st.one_of(
        st.text(min_size=8, max_size=40),
        st.text("ab/+~ \"'\\&%é🔑\r\n", min_size=8, max_size=40),
        st.from_regex(r"[A-Za-z0-9_-]{8,60}", fullmatch=True),
    )
    .map(str.strip)
    .filter(lambda value: len(READ_OVER.sub("", value)) >= 8)
)
cuts = st.lists(st.integers(0, 10_000), max_size=12)
noise = st.sampled_from([b"", b"\xff", b"\xfe\xff\n" * 9])


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize(
    "value", [PASSWORD, "correct-horse-battery", 'a\nmulti/line\n"value"', "ключ🔑от/всего"]
)
def test_a_value_is_masked_in_every_encoding(value, encode):
    assert masker(value).mask(f"<<{encode(value)}>>") == "<<[MASKED]>>"


@pytest.mark.parametrize("encode", BASE64.values(), ids=BASE64)
@pytest.mark.parametrize("lead", range(4))
@pytest.mark.parametrize("value", [PASSWORD, "12345678", "sub?jects>>>~~~", "123456789", "1234567890"])
def test_of_base64_all_that_the_value_determines_is_masked_and_no_more(value, lead, encode):
    one, other = (encode(fill * lead + value.encode() + fill * 3).decode() for fill in (b"\x00", b"\xff"))
    hidden = "".join("*" if a == b != "=" else a for a, b in zip(one, other, strict=True))
    assert masker(value).mask(one) == re.sub(r"\*+", "[MASKED]", hidden)


@pytest.mark.parametrize("encode", BASE64.values(), ids=BASE64)
@pytest.mark.parametrize("outer", range(3))
@pytest.mark.parametrize("inner", range(3))
def test_of_base64_twice_no_more_is_left_than_the_ends(inner, outer, encode):
    """``auth`` in the .dockerconfigjson of a Kubernetes Secret, for one."""
    value = "sub?jects>>>~~~" * 3
    printed = b64encode(b"-" * outer + encode(b"-" * inner + value.encode() + b"-")).decode()
    assert re.fullmatch(r"[\w+/]{0,9}\[MASKED\][\w+/]{0,9}={0,2}", masker(value).mask(printed))


@pytest.mark.parametrize(
    "encode", [quote, lambda text: quote(text, safe=""), lambda text: text.replace("/", "\\/")]
)
def test_standard_base64_is_masked_where_it_was_escaped_in_turn(encode):
    encoded = b64encode(b"???>>>~~~???>>>").decode()
    assert "/" in encoded
    assert masker("???>>>~~~???>>>").mask(encode(encoded)) == "[MASKED]"


@given(value=values, encode=st.sampled_from(list(ENCODINGS.values())), before=noise, after=noise, points=cuts)
def test_no_eight_characters_of_a_printed_value_survive_any_chunking(value, encode, before, after, points):
    printed = encode(value).encode()
    out = streamed(masker(value), cut(before + printed + after, points))
    assert b"[MASKED]" in out
    assert not any(printed[at : at + 8] in out for at in range(len(printed) - 7))


@given(value=values, encode=st.sampled_from(list(BASE64.values())), points=cuts, data=st.data())
def test_nor_of_its_base64_whatever_stands_around_it(value, encode, points, data):
    before, after = data.draw(st.binary(max_size=4)), data.draw(st.binary(max_size=4))
    out = streamed(masker(value), cut(encode(before + value.encode() + after), points))
    assert re.fullmatch(rb"[\w+/-]{0,6}\[MASKED\][\w+/-]{0,6}={0,2}", out)


def naive(text: str, found: Iterable[str]) -> bytes:
    """For values and texts without anything that is read over."""
    hidden = [False] * len(text)
    for at in range(len(text)):
        ends = (
            [at + 8]
            if len(text[at : at + 8]) == 8 and any(text[at : at + 8] in value for value in found)
            else []
        )
        if shape := re.match(r"eyJ[\w-]{7,}\.[\w-]{4,}\.[\w-]*", text[at:]):
            ends.append(at + shape.end())
        for position in range(at, max(ends, default=at)):
            hidden[position] = True
    shown = "".join("*" if hide else sign for sign, hide in zip(text, hidden, strict=True))
    return re.sub(r"\*+", "[MASKED]", shown).encode()


def varied(value: str) -> bool:
    return not re.search(r"(.)\1{7}", value)  # eight times the same says nothing


@given(
    found=st.lists(st.text("ab", min_size=8, max_size=14).filter(varied), max_size=5),
    text=st.lists(st.sampled_from(["a", "b", "ab", "aab", "aaaaaaaa", "babababab", ";"]), max_size=40).map(
        "".join
    ),
    points=cuts,
)
@example(found=["abababab"], text="ababababababa", points=[9])
@example(found=["aaaabaaab", "abaaaaaab"], text="aaaabaaabaaaaaab", points=[4, 8, 12])
def test_overlapping_values_are_masked_as_the_union_of_their_places(found, text, points):
    assert streamed(masker(*found), cut(text.encode(), points)) == naive(text, found)


jwt_like = st.lists(
    st.tuples(
        st.sampled_from(["eyJ", "eyJaaaaaaa", "eyJeyJey", "aaaa", "bb-_", "ey", "x", ""]),
        st.sampled_from([".", ".", ".", "", ",", ";", "/"]),
    ).map("".join),
    max_size=12,
).map("".join)
BETWEEN = ("aaaa.aaaa", "eyJeyJey", ".eyJaaaa", "Jaaaa.eyJ", "bb-_x/x./", "x/eyJaaaaaaa.aaaa.aaaa/")


@given(text=jwt_like, found=st.sets(st.sampled_from(BETWEEN), max_size=3), points=cuts)
@example(text="eyJaaaaaaa.eyJaaaaaaa.eyJaaaaaaa.", found=set(), points=[26])
def test_unknown_jwts_among_values_are_masked_alike_however_they_are_cut(text, found, points):
    assert streamed(masker(*found), cut(text.encode(), points)) == naive(text, found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-eyJaaaaaaa.aaaa.aaaa.aaaa\n", ()),
        ("eyJaaaaaaa.eyJaaaaaaa.eyJaaaaaaa.aaaa.aaaa.aaaa.a", ()),
        ("eyJaaaaaaa.eyJaaaaaaa.eyJaaaaaaa.", ()),
        ("eyJ eyJaaaaaaa.aaaa.aaaa", ()),
        ("eyJa.eyJaaaaaaa.aaaa.aaaa eyJaaaaaaa.aaa.aaaa", ()),
        ("eyJeyJeyJeyJeyJ.eyJeyJeyJ..eyJeyJeyJ.eyJe.eyJ", ("JeyJ.eyJe", "eyJ..eyJ")),
        ("x/eyJaaaaaaa.aaaa.aaaa-/x/eyJaaaaaaa.aaaa.aaaa/", BETWEEN),
        ("abcdefghabcdefgabcdefghijkabcdef", ("abcdefgh", "efghabcdefgab", "hijkabcdefg")),
    ],
)
def test_where_a_text_is_cut_makes_no_difference(text, found):
    made, expected = masker(*found), naive(text, found)
    for points in combinations_with_replacement(range(len(text) + 1), 2):
        assert streamed(made, cut(text.encode(), points)) == expected
    assert streamed(made, bytewise(text.encode())) == expected


KNOWING = masker(PASSWORD, PEM, JWT, SIGNATURE)


@given(text=st.one_of(st.binary(), st.text().map(str.encode)), points=cuts)
def test_what_is_no_part_of_a_value_stays_as_it_is(text, points):
    assert streamed(KNOWING, cut(text, points)) == text


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3, python 3.11.14.final.0, eyJ, eyJa.b.c",
        "eyJhbGciOiJSUzI1NiJ9 alone, eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0 with one dot",
        "https://a.example.org/eyJabcdefgh.tar.gz",
        "abcdefghijk.abcdefghijk.abcdefghijk",
        "[MASKED]",
        "a lone surrogate \ud800 and ünïcödé 🔑",
    ],
)
def test_look_alikes_stay(text):
    assert masker(PASSWORD).mask(text) == text


@pytest.mark.parametrize("after", ["", "\n", '"', ".", " eyJ"])
def test_an_unsigned_jwt_is_masked(after):
    """Its third part is empty (RFC 7519 §6.1)."""
    unsigned = b64encode(b'{"alg":"none"}').decode().rstrip("=") + "." + PAYLOAD + "."
    assert masker().mask(unsigned + after) == "[MASKED]" + after
    assert streamed(masker(), bytewise((unsigned + after).encode())) == b"[MASKED]" + after.encode()


def test_values_that_touch_are_one_mask():
    made = masker("first-value", "other-value")
    assert made.mask("first-valueother-value first-value") == "[MASKED] [MASKED]"
    assert streamed(made, [b"first-value", b"other-value", b"first-value "]) == b"[MASKED] "


def test_a_multi_line_value_is_masked_line_by_line():
    made = masker("user: alice\n  password: hunter22\r\nshort\n")
    assert made.mask("* password: hunter22\n+ user: alice\nshort\n") == "*[MASKED]\n+ [MASKED]\nshort\n"
    assert made.mask("user: alice\n  password: hunter22\nshort\n") == "[MASKED]\n"
    assert made.mask("user: alice\r\n  password: hunter22\r\nshort\r\n") == "[MASKED]\r\n"


@pytest.mark.parametrize(
    "value", [PEM, PEM.replace("\n", "\r\n"), json.dumps({"key": PEM})], ids=["LF", "CRLF", "JSON"]
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_pem_is_masked_and_its_armour_is_public(value, line_end):
    made = masker(value)
    out = made.mask(PEM.replace("\n", line_end))
    assert not any(line in out for line in KEY_LINES)
    for line in KEY_LINES[:2]:
        assert made.mask(f"<{line}>") == "<[MASKED]>"
    for armour in (PEM.splitlines()[0], PEM.splitlines()[-1]):
        assert made.mask(f"{armour}{line_end}") == f"{armour}{line_end}"
        if value.startswith("{"):
            continue  # what follows the armour there may begin like its last character
        encoded = b64encode(f"{armour}\n".encode()).decode()
        assert made.mask(f"{encoded}{line_end}") == f"{encoded}{line_end}"


@pytest.mark.parametrize("part", [JWT, PAYLOAD, SIGNATURE])
def test_each_part_of_a_token_is_a_value_of_its_own(part):
    made = Masker()
    made.add_token(Secret(JWT), "ID_TOKEN")
    assert (
        made.mask(f"part={part}, {b64encode(part.encode()).decode().rstrip('=')[:-1]}")
        == "part=[MASKED], [MASKED]"
    )


def test_a_tokens_header_is_public():
    made = Masker()
    made.add_token(Secret(JWT), "ID_TOKEN")
    assert made.mask(f"header={HEADER}") == f"header={HEADER}"


@pytest.mark.parametrize("size", [10, 4_000, JWT_REACH - 100, JWT_REACH, 3 * JWT_REACH])
def test_an_unknown_jwt_is_masked_across_chunks_however_long_it_is(size):
    text = b"Bearer %s.%s.%s.\n" % (HEADER.encode(), b"p" * size, SIGNATURE.encode())
    chunks = [text[at : at + 97] for at in range(0, len(text), 97)]
    assert streamed(Masker(), chunks) == b"Bearer [MASKED].\n"


@pytest.mark.parametrize("excess", [-1, 0, 1, 5])
@pytest.mark.parametrize(
    "form", ["eyJ{}", "eyJ{}.x", "eyJabcdefgh.{}", "eyJ{}.", "eyJ{}.eyJ.ab", "eyJ.{}.eyJ"]
)
def test_what_begins_like_a_jwt_and_outgrows_the_hold_back_is_masked(form, excess):
    begun = form.format("eyJ" + "a" * (JWT_REACH - len(form.format("eyJ").rstrip(".")) + excess)).encode()
    text = begun + b" after\n"
    whole = streamed(Masker(), [text])
    assert whole == (b"[MASKED]" + b"." * begun.endswith(b".") + b" after\n" if excess > 0 else text)
    for size in (1_000, JWT_REACH - 1, JWT_REACH, JWT_REACH + 1):
        assert streamed(Masker(), [text[at : at + size] for at in range(0, len(text), size)]) == whole
    near = [text[: JWT_REACH - 9], *bytewise(text[JWT_REACH - 9 :])]
    assert streamed(Masker(), near) == whole


def test_of_two_that_outgrow_it_the_later_one_reaches_further():
    part = b"eyJ" + b"a" * 2 * JWT_REACH
    text = b"%s.%s.bbbb.cccc.dddd" % (part, part)
    assert (
        streamed(Masker(), [text[at : at + 1_000] for at in range(0, len(text), 1_000)]) == b"[MASKED].dddd"
    )


def held_back(made: Masker, begun: bytes) -> int:
    return len(begun) - len(made.stream().feed(begun))


@pytest.mark.parametrize(
    "begun",
    [
        b"eyJ" + b"a" * (JWT_REACH - 3) + b".",
        b"\x1b[0m" * JWT_REACH,
        b" " * 2 * JWT_REACH,
        b"\\" * 2 * JWT_REACH,
        b"\x1b[" + b"1;" * JWT_REACH,
    ],
    ids=["JWT", "colours", "blanks", "backslashes", "endless sequence"],
)
def test_no_more_is_held_back_than_the_reach(begun):
    made = masker("a long value" * 20)
    assert held_back(made, begun) <= made.reach
    assert streamed(made, [begun, b"\n"]).endswith(b"\n")


@pytest.mark.parametrize("size", range(30))
def test_of_an_unfinished_line_fifteen_characters_are_held_back(size):
    assert held_back(masker("first-value"), b"finished\n" + b"." * size) == min(size, 15)


@pytest.mark.parametrize(
    "between", ["\x1b(B\x1b[m", "\x1b7", "\u009b1m", "\x1b]0;t\x07", "\\u001b(B", "\\033M"]
)
@pytest.mark.parametrize("size", range(1, 8))
def test_what_a_terminal_does_not_show_parts_no_value(between, size):
    value = "Tr0ub4dor-and-3"
    parts = [value[at : at + size] for at in range(0, len(value), size)]
    text = f"<{between.join(parts)}>".encode()
    for chunks in ([text], bytewise(text), cut(text, [9, 20])):
        assert streamed(masker(value), chunks) == b"<[MASKED]>"


@pytest.mark.parametrize("before", ["\x1b", "\x1b(", "\x1b]8;;", "\x1bP", "\u009d", "\\e", "\x1b]0;a\n"])
def test_nor_does_it_hide_one_that_stands_in_it(before):
    """A log is read by what is no terminal too."""
    for chunks in ([f"{before}hunter22\n".encode()], bytewise(f"{before}hunter22\n".encode())):
        assert streamed(masker("hunter22"), chunks) == f"{before}[MASKED]\n".encode()


def test_a_value_around_a_long_title_is_masked_though_its_beginning_has_gone_out():
    title = b"\x1b]0;%s\x07" % (b"t" * 2 * JWT_REACH)
    out = streamed(
        masker("Tr0ub4dor-and-3"), [b"Tr0ub4d", *cut(title, range(0, 2 * JWT_REACH, 999)), b"or-and-3\n"]
    )
    assert out.startswith(b"Tr0ub4d\x1b]0;ttt")
    assert out.endswith(b"[MASKED]\n")
    assert b"or-and-3" not in out


@pytest.mark.parametrize(
    "cut_off",
    [
        b"\x1b(",
        b"\xc2",
        b"\xc2\x9b1",
        b"\x1b",
        b"\x1b[",
        b"\x1b[38;5;",
        b"\\",
        b"\\\\u001b[3",
        b"%0",
        b"\\x0",
    ],
)
def test_a_sequence_that_is_cut_is_held_back_with_what_went_before(cut_off):
    assert held_back(masker("first-value"), b"0123456789abcdefghij" + cut_off) == 15 + len(cut_off)


@pytest.mark.parametrize("printed", ["user\\:\\ al", "user:\\ al"])
def test_a_blank_that_is_escaped_counts_as_a_character(printed):
    out = streamed(masker("user: alice"), [printed.encode() + b"E: 42%\rice"])
    assert out.startswith(b"[MASKED]")
    assert out.endswith(b"E: 42%\rice")


def test_a_log_line_goes_out_with_its_newline():
    stream = masker("building-secret", "e-secret").stream()
    assert stream.feed(b"buil") == b""
    assert stream.feed(b"d the house\n") == b"build the house\n"
    assert stream.feed(b"eyJhbGciOiJSUzI1NiJ9.\nbuildin\n") == b"eyJhbGciOiJSUzI1NiJ9.\nbuildin\n"
    assert stream.feed(b"there is no newline") == b"t"
    assert stream.close() == b"here is no newline"


def test_a_value_added_later_is_masked_from_then_on():
    made = masker("first-value")
    stream = made.stream()
    assert stream.feed(b"minted-later\nfirst-value") == b"minted-later\n"
    made.add(Secret("minted-later"), "ID_TOKEN")
    assert stream.feed(b" minted-later\n") == b"[MASKED] [MASKED]\n"


def test_bytes_that_are_no_text_pass_and_hide_nothing():
    assert streamed(masker("first-value"), bytewise(b"\xff\x00\xc3first-value\xe2\x28\xff")) == (
        b"\xff\x00\xc3[MASKED]\xe2\x28\xff"
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1234567",
        "  1234567 \n",
        "a\nb\nc",
        "1234\n567",
        "\x1b[31m1234567",
        "\\n\\n\\n1234",
        "-----BEGIN A-----\nabc\n-----END A-----",
    ],
)
def test_a_value_too_short_to_be_masked_is_refused(value):
    with pytest.raises(
        InvalidInput, match=r"^DB_PASSWORD: .* at least 8 characters .* ordinary words"
    ) as refusal:
        Masker().add(Secret(value), "DB_PASSWORD")
    assert not value.strip() or value.strip() not in str(refusal.value)


def test_a_value_that_is_no_utf8_is_refused_without_being_shown():
    with pytest.raises(InvalidInput, match=r"^DB_PASSWORD: .* UTF-8") as refusal:
        Masker().add(Secret("hunter22\ud800"), "DB_PASSWORD")
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize(
    "token", ["not-a-jwt", f"{HEADER}.{PAYLOAD}", f"{JWT}.{SIGNATURE}", f"{HEADER}..{SIGNATURE}"]
)
def test_a_token_that_is_no_jwt_is_refused(token):
    with pytest.raises(InvalidInput, match=r"^ID_TOKEN: ") as refusal:
        Masker().add_token(Secret(token), "ID_TOKEN")
    assert token not in str(refusal.value)


def test_no_repr_shows_a_value():
    made = masker("first-value")
    stream = made.stream()
    stream.feed(b"first-val")
    assert repr(made) == "Masker(1 values)"
    assert "first" not in repr(stream) + repr(vars(made))


def test_a_number_of_values_hide_what_each_would_hide():
    found = [f"value-{number:05}" for number in range(200)]
    assert masker(*found).mask(" ".join(found)) == " ".join(["[MASKED]"] * 200)


def test_a_token_takes_a_few_megabytes_and_gives_them_back():
    """A long run has many: what is here bounds what its process needs."""
    held = Masker()
    tokens = [".".join([HEADER, "".join(f"{n * n:x}" for n in range(i, i + 250)), "S" * 8]) for i in (1, 900)]
    tracemalloc.start()
    try:
        for number, token in enumerate(tokens):
            held.add_token(Secret(token), f"TOKEN_{number}")
        full, _ = tracemalloc.get_traced_memory()
        held.forget({"TOKEN_0", "TOKEN_1"})
        empty, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert full < 2 * 8_000_000
    assert empty < full / 20


def test_what_is_forgotten_is_shown_and_the_rest_is_not():
    held = Masker()
    held.add_token(Secret(JWT), "TOKEN")
    held.add(Secret(PASSWORD), "PASSWORD")
    held.forget({"TOKEN"})
    assert held.mask(f"{PAYLOAD} {PASSWORD}") == f"{PAYLOAD} [MASKED]"
