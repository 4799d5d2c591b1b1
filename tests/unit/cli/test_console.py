"""What every command prints alike."""

import pytest

from app.cli import main
from app.cli.console import fields, show_all


def test_a_table_moves_no_cursor_and_starts_no_line_of_its_own(capsys):
    rows = [{"name": "red \x1b[31m", "names": ["two\nlines"], "detail": {"cause": "\x9b1A"}}]
    show_all(rows, ("name", "names", "detail"), "", as_json=False)
    assert capsys.readouterr().out.splitlines()[1].split("  ")[0] == r"red \x1b[31m"
    show_all(rows, ("name", "names", "detail"), "", as_json=False)
    assert {sign for sign in capsys.readouterr().out if not sign.isprintable()} == {"\n"}
    assert fields({"reason": "two\nlines"}) == rf"{'reason':22} two\nlines"


@pytest.mark.parametrize(("no_color", "color"), [("1", False), ("please", False), ("", None), (None, None)])
def test_no_color_is_respected(monkeypatch, no_color, color):
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    assert main.make_context("countersign", ["user", "list"]).color is color
