"""The text of an audience, which verifiers compare byte for byte."""

import pytest

from app.protocol.claims import check_audience


@pytest.mark.parametrize(
    "text",
    ["a", "x" * 255, "sts.amazonaws.com", "https://vault.example.com", "//iam/p:1?q#f", "https://x/~!"],
)
def test_one_that_every_verifier_takes(text):
    assert check_audience(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("x" * 256, "is longer than 255"),
        *((text, "is not printable ASCII") for text in ("a b", " ", "a\n", "ä", "a\0", "a\x7f")),
    ],
)
def test_one_that_none_takes(text, reason):
    assert reason in str(check_audience(text))
