"""A secret that was never given is nobody's, whatever its characters are: ours are ASCII."""

from urllib.parse import quote

import pytest

from tests.support.console_client import text_of
from tests.unit.web.test_door import COOKIE, HERE

FOREIGN = ("\ud800", "a\udfff", "é", "\N{FULLWIDTH LATIN SMALL LETTER A}" * 43, "\x00", "a")


@pytest.mark.parametrize("secret", FOREIGN)
def test_a_cookie_is(world, secret):
    """As a server hands it on; what has a lone surrogate cannot even be hashed."""
    told = {"HTTP_COOKIE": f"{COOKIE}={secret}"}
    answer = world.http.get("/console/mine", headers=HERE, environ_overrides=told)
    assert (answer.status_code, "/console/sign-in" in answer.headers["Location"]) == (303, True)


@pytest.mark.parametrize("secret", FOREIGN)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
def test_a_link_is(world, secret, kind):
    sent = secret.encode(errors="surrogatepass")
    head = b'--b\r\nContent-Disposition: form-data; name="secret"\r\n\r\n'
    body = head + sent + b"\r\n--b--\r\n" if "boundary" in kind else f"secret={quote(sent)}".encode()
    answer = world.http.post("/console/sign-in/link", data=body, content_type=kind, headers=HERE)
    assert answer.status_code == 403
    assert "This link is no good any more" in text_of(answer)
