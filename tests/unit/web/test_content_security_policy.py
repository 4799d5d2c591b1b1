import re

import pytest

from app.web.content_security_policy import content_security_policy, new_nonce


def policies():
    """Each policy of the header as directive -> sources (CSP Level 3 §3.1)."""
    texts = content_security_policy("n0nce").split(", ")
    return [dict(part.split(" ", 1) for part in text.split("; ")) for text in texts]


@pytest.mark.parametrize(
    ("directive", "sources"),
    [
        ("default-src", "'none'"),
        ("script-src", "'self'"),
        ("style-src", "'self'"),
        ("img-src", "'self' data:"),
        ("connect-src", "'self'"),
        ("base-uri", "'none'"),
        ("form-action", "'self'"),
        ("frame-ancestors", "'none'"),
        ("require-trusted-types-for", "'script'"),
        ("trusted-types", "htmx"),
    ],
)
def test_the_first_policy_allows_what_the_design_says(directive, sources):
    assert policies()[0][directive] == sources


def test_it_allows_nothing_else():
    assert len(policies()[0]) == 10
    assert not re.search(r"unsafe|\*|https?:", content_security_policy("n0nce"))


def test_a_nonce_stands_only_in_the_second_policy_and_so_lets_no_inline_script_run():
    first, second = policies()
    assert "nonce" not in str(first)
    assert second == {"script-src": "'self' 'nonce-n0nce'"}


def test_htmx_reads_the_nonce_of_a_response_from_it():
    in_hx_csp = r"(?:script-src|default-src)[^;]*'nonce-([^']+)'"
    assert re.search(in_hx_csp, content_security_policy("n0nce"))[1] == "n0nce"


def test_no_nonce_comes_twice():
    nonces = [new_nonce() for _ in range(100)]
    assert len(set(nonces)) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", nonce) for nonce in nonces)
