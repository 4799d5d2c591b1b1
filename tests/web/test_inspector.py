"""What the page says of a token, and that the token never leaves it."""

import base64
import json
import time

import pytest

from app.secret import Secret
from app.signing.algorithms import Algorithm, LocalSigner, generate, public_jwk

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def token(served_console, shared_installation):
    command = ("token", "issue", "--service-account", "duo", "--user", "bob", "--scope", "code.read")
    return Secret(shared_installation.invoke(*command, json=True).data["access_token"])


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(alg, claims, **header):
    """A token of a key of this algorithm, and the key's JWK."""
    key = generate(alg)
    jwk = public_jwk(key.public_key(), alg)
    content = f"{part({'alg': alg, 'kid': jwk['kid'], 'typ': 'JWT'} | header)}.{part(claims)}"
    signature = LocalSigner(key, alg).sign(content.encode())
    return f"{content}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}", jwk


def verdict(page, name):
    line = page.locator(f'[data-verdict="{name}"]')
    if name == "Signature":
        line.filter(has_not_text="Being checked").wait_for()
    return line.inner_text()


def inspect(page, text):
    page.goto("/console/inspector")
    page.locator("#token").fill(text)


def test_a_token_of_this_issuer_is_verified_and_explained_and_never_sent(tabs, token):
    sent = []
    with tabs.open("bob") as page:
        page.on("request", lambda request: sent.append(request))  # noqa: PLW0108 - a built-in takes no mark of Playwright's
        inspect(page, f"Bearer {token.reveal()}\n")
        assert "Signed with RS256 by the published key" in verdict(page, "Signature")
        assert "It is valid until it expires" in verdict(page, "Time")
        page.locator('[data-verdict="Issuer"]').filter(has_text="It names this issuer.").wait_for()
        assert "claims" not in verdict(page, "Who")
        assert "duo (service_account:" in verdict(page, "Who")
        assert "acts on behalf of bob (user:" in verdict(page, "Who")
        assert "only together with this human" in page.locator("#claim-rows").inner_text()
        assert "every verifier takes it" in page.locator("#header-rows").inner_text()
        told = [(each.url, each.post_data, each.all_headers()) for each in sent]
        assert any(url.endswith("/.well-known/jwks.json") for url, _, _ in told)
        assert not any(piece in str(told) for piece in token.reveal().split("."))


def test_the_page_forgets_it_when_it_is_left(tabs, token):
    with tabs.open("bob") as page:
        inspect(page, token.reveal())
        verdict(page, "Signature")
        page.goto("/console/mine")
        page.go_back()
        page.locator("#token").wait_for()
        assert page.locator("#token").input_value() == ""
        assert page.locator("#findings").is_hidden()
        page.locator("#token").fill(token.reveal())
        page.get_by_role("button", name="Clear").click()
        assert page.locator("#token").input_value() == ""
        assert token.reveal().split(".")[1] not in page.content()


@pytest.mark.parametrize("alg", Algorithm)
def test_each_algorithm_is_checked_by_the_browser(tabs, shared_installation, alg):
    now = int(time.time())
    claims = {
        "iss": shared_installation.issuer,
        "sub": "project_path:acme/webapp",
        "exp": now + 60,
        "nbf": now - 5,
    }
    good, jwk = signed(alg, claims)
    with tabs.open("bob") as page:
        keys = json.dumps({"keys": [jwk]})
        page.route(
            "**/.well-known/jwks.json",
            lambda route: route.fulfill(body=keys, content_type="application/json"),
        )
        inspect(page, good)
        assert f"Signed with {alg} by the published key" in verdict(page, "Signature")
        head, _, signature = good.split(".")
        inspect(page, f"{head}.{part(claims | {'sub': 'somebody else'})}.{signature}")
        assert "The signature does not fit" in verdict(page, "Signature")
        other = signed(alg, claims, kid=jwk["kid"])[0]
        inspect(page, other)
        assert "The signature does not fit" in verdict(page, "Signature")


def test_what_is_wrong_is_said_and_hostile_claims_are_text(tabs, shared_installation):
    now = int(time.time())
    hostile = {"exp": now - 100, "iss": HOSTILE, "sub": HOSTILE, HOSTILE: [HOSTILE]}
    unsigned = f"{part({'alg': 'none'})}.{part(hostile)}."
    early = f"{part({'alg': 'HS256', 'kid': 'x'})}.{part({'nbf': now + 3600, 'exp': now + 7200})}.AAAA"
    with tabs.open("bob") as page:
        inspect(page, unsigned)
        assert "not signed at all" in verdict(page, "Signature")
        assert "It has expired" in verdict(page, "Time")
        assert "names another issuer" in verdict(page, "Issuer")
        assert page.locator("#findings img").count() == 0
        assert HOSTILE in page.locator("#claim-rows").inner_text()
        inspect(page, early)
        assert "never signs with HS256" in verdict(page, "Signature")
        assert "not valid yet" in verdict(page, "Time")
        foreign, _ = signed(Algorithm.ES256, {"iss": shared_installation.issuer})
        inspect(page, foreign)
        assert "No published key has its key id" in verdict(page, "Signature")
        assert "It never ends" in verdict(page, "Time")
        for text, words in (
            ("a.b", "three parts"),
            ("a.b.c.d.e", "encrypted"),
            ("a.b.c", "first part is no JSON"),
            (f"{part({})}.{part([])}.c", "second part is no JSON"),
            (f"{part({})}.{part({})}.ü", "no base64url"),
        ):
            inspect(page, text)
            page.get_by_role("alert").filter(has_text=words).wait_for()


def test_delegated_and_human_tokens_are_told_apart(tabs):
    with tabs.open("bob") as page:
        for claims, words in (
            (
                {"sub": "user:42", "act": {"sub": "service_account:7"}},
                "service_account:7 acts on behalf of user:42",
            ),
            (
                {"sub": "service_account:7", "scope": "api user:42"},
                "service_account:7 acts on behalf of user:42",
            ),
            ({"sub": "user:42", "user_login": "bob"}, "bob (user:42) acts in person"),
            ({"sub": "service_account:7"}, "service_account:7 acts in its own name"),
        ):
            inspect(page, f"{part({'alg': 'RS256'})}.{part(claims)}.AAAA")
            assert f"It claims, unproved: {words}" in verdict(page, "Who")


def test_what_no_signature_proves_is_a_claim(tabs, shared_installation):
    claims = {"iss": shared_installation.issuer, "sub": "user:42"}
    with tabs.open("bob") as page:
        inspect(page, f"{part({'alg': 'none'})}.{part(claims)}.")
        assert "not signed at all" in verdict(page, "Signature")
        assert "no signature proves it" in verdict(page, "Issuer")


def test_a_token_that_expires_while_it_is_looked_at_is_said_to_have(tabs):
    now = int(time.time())
    with tabs.open("bob") as page:
        page.clock.install(time=now)
        inspect(page, f"{part({'alg': 'none'})}.{part({'exp': now + 60})}.")
        assert "It is valid until it expires" in verdict(page, "Time")
        page.clock.fast_forward("01:30")
        page.locator('[data-verdict="Time"]').filter(has_text="It has expired").wait_for()
