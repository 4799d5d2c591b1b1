"""The issuer identifier: byte for byte what every verifier takes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.issuer_identifier import check_issuer, is_loopback

GOOD = [
    "https://id.example.com",
    "https://id.example.com/tenant/a",
    "https://id.example.com:8443",
    "https://10.0.0.1",
    "http://localhost:8000",
    "http://localhost",
    "http://127.0.0.1:8000",
    "http://[::1]:8000",
    "http://id.localhost:8000/tenant",
]
BAD = {
    "http://id.example.com": "https URL",
    "http://10.0.0.1": "https URL",
    "http://localhost.example.com": "https URL",
    "ftp://localhost": "https URL",
    "//id.example.com": "https URL",
    "id.example.com": "https URL",
    "": "https URL",
    "https://": "host",
    "https:///tenant": "host",
    "https://ID.example.com": "lower case",
    "https://id.example.com/": "trailing slash",
    "https://id.example.com:443": "default port",
    "http://localhost:80": "default port",
    "https://user@id.example.com": "user",
    "https://user:password@id.example.com": "user",
    "https://id.example.com?a=b": "query",
    "https://id.example.com?": "query",
    "https://id.example.com#f": "fragment",
    "https://id.example.com#": "fragment",
    "https://id.éxample.com": "ASCII",
    "https://id.example.com/a b": "ASCII",
    "https://id.example.com\n": "ASCII",
    " https://id.example.com": "ASCII",
    "https://id.example.com/" + "a" * 240: "255",
}


@pytest.mark.spec("OIDC Discovery 1.0", "3", "The issuer is an https URL without query or fragment.")
@pytest.mark.spec("RFC 8414", "2", "The issuer identifier has no query or fragment components.")
@pytest.mark.parametrize("text", GOOD)
def test_is_taken_as_it_is(text):
    assert check_issuer(text) == text


@pytest.mark.spec("OIDC Discovery 1.0", "3", "Anything else is no issuer.")
@pytest.mark.parametrize(("text", "reason"), BAD.items())
def test_is_refused_with_the_rule_it_breaks(text, reason):
    with pytest.raises(ValueError, match=reason):
        check_issuer(text)


@pytest.mark.parametrize("port", ["99999", "x", "-1"])
def test_a_port_is_a_port(port):
    with pytest.raises(ValueError, match=r"."):
        check_issuer(f"https://id.example.com:{port}")


@given(st.text(max_size=30).map(lambda text: "https://" + text) | st.text(max_size=30))
def test_anything_is_taken_or_refused(text):
    with suppress(ValueError):
        assert check_issuer(text) == text


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.example.com", "notlocalhost", "0.0.0.1", "10.0.0.1", "::"])
def test_another_machine(host):
    assert not is_loopback(host)
