"""What programs print, as a page shows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.terminal import Piece, whole_lines


def looks(text, colour=""):
    piece = Piece.of(text, 0, len(text.encode()), colour)
    return [(run.text, run.looks) for run in piece.runs]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain\n", [("plain\n", "")]),
        ("\x1b[32mgood\x1b[0m bad", [("good", "said-green"), (" bad", "")]),
        ("\x1b[1;31mboth\x1b[22m one", [("both", "said-bold said-red"), (" one", "said-red")]),
        ("\x1b[91mbright\x1b[39mnot", [("bright", "said-red"), ("not", "")]),
        ("\x1b[38;5;196mmany\x1b[38;2;1;31;3mmore", [("manymore", "")]),
        ("\x1b[2J\x1b[Hhome", [("home", "")]),
        ("\x1b]0;a title\x07text", [("text", "")]),
        ("\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\", [("link", "")]),
        ("a\x00b\x08c\x9bd", [("abcd", "")]),
        ("dos\r\nline", [("dos\nline", "")]),
        ("<script>alert(1)</script>", [("<script>alert(1)</script>", "")]),
    ],
)
def test_colours_are_classes_and_other_control_is_gone(said, shown):
    assert looks(said) == shown


def test_a_colour_goes_on_in_the_next_piece():
    first = Piece.of("\x1b[1;34mblue", 0, 11)
    assert [(run.text, run.looks) for run in Piece.of("still", 11, 16, first.colour).runs] == [
        ("still", "said-bold said-blue")
    ]


@pytest.mark.parametrize("colour", ["x", "b9", "9", "bb", "1;31", "b4 evil"])
def test_a_colour_that_is_none_is_left_out(colour):
    assert looks("text", colour) == [("text", "")]


def test_a_sequence_that_is_cut_off_comes_with_the_next_piece():
    text = "one \x1b[3"
    piece = Piece.of(text, 0, len(text))
    assert (piece.text, piece.end) == ("one ", 4)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("begun", ["\x1b[", "\x1b]", "\x1bP", "\x1b", "\x1b[0", "\x1b]\x1b"])
@pytest.mark.parametrize("more", ["!", "0", "a", "\x1b[", "\x1b]0;"])
def test_a_sequence_that_never_ends_costs_no_more_than_its_length(begun, more):
    """As a log's author may write it (CWE-1333): time that grows with its square would be minutes."""
    text = begun + more * (200_000 // len(more))
    assert Piece.of(text, 0, len(text)).end <= len(text)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_whole_lines_begin_where_a_line_does_and_end_where_the_bytes_do(content, start):
    piece = whole_lines(content, start, is_first=start == 0)
    skipped = piece.start - start
    assert skipped == 0 or content[skipped - 1 : skipped] == b"\n"
    assert piece.end <= start + len(content)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_nothing_that_steers_a_terminal_is_left(text):
    shown = Piece.of(text, 0, len(text.encode())).text
    assert not set(shown) & {chr(n) for n in (*range(9), 11, 12, *range(14, 27), *range(28, 32), 127, 0x9B)}
