"""Audiences: how they are compared, which are reserved, and for whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Conflict, InvalidInput, NotFound
from app.identity import projects
from app.ledger.models import AuditRow
from app.ledger.search import ORDER
from app.tokens import audiences
from app.tokens.audiences import AudienceKind, canonical, refuse_verifier
from tests.support.components import ISSUER, NOW, OPERATOR

API, VERIFIER = AudienceKind.API, AudienceKind.VERIFIER
CANONICAL = {
    "https://vault.example.com": "https://vault.example.com",
    "https://vault.example.com/": "https://vault.example.com",
    "https://vault.example.com//": "https://vault.example.com",
    "HTTPS://Vault.Example.COM": "https://vault.example.com",
    "https://vault.example.com/Path/": "https://vault.example.com/Path",
    "https://Vault.example.com:8443/Q?Case=Kept": "https://vault.example.com:8443/Q?Case=Kept",
    "sts.amazonaws.com": "sts.amazonaws.com",
    "api://AzureADTokenExchange": "api://azureadtokenexchange",
    "http://[": "http://[",
    "": "",
}


@pytest.mark.parametrize(("uri", "expected"), CANONICAL.items())
def test_the_form_in_which_they_are_compared(uri, expected):
    assert canonical(uri) == expected


@given(st.text(max_size=40) | st.text("htps:/[]@a.B", max_size=30))
def test_any_text_has_one_canonical_form(text):
    assert canonical(canonical(text)) == canonical(text)


RESERVED = [
    *(spelling for spelling in (ISSUER, ISSUER + "/", ISSUER.upper(), ISSUER.replace("l", "L") + "//")),
    *(ISSUER + path for path in ("/api/v1", "/api/v1/")),
    "sa_1",
    "sa_999999999999",
    "SA_7",
    "Sa_7",
    "sa_7/",
]


@pytest.fixture(scope="module")
def refuse(shared_components):
    components = shared_components
    with components.database.writing() as session:
        one = projects.create_project(session, "acme/one", by=OPERATOR, now=NOW)
        two = projects.create_project(session, "acme/two", by=OPERATOR, now=NOW)
        for uri, kind, bound in (
            ("https://api.acme.example", API, []),
            ("https://vault.acme.example", VERIFIER, []),
            ("https://one.acme.example", VERIFIER, [one]),
            ("https://both.acme.example", VERIFIER, [one, two]),
        ):
            audiences.register(session, ISSUER, uri, kind, "RS256", bound, by=OPERATOR, now=NOW)
        numbers = {"one": one.id, "two": two.id}

    def refuse(audience, *, project="one", openness="open"):
        with components.database.reading_connection() as connection:
            return refuse_verifier(connection, ISSUER, openness, audience, numbers[project])

    return refuse


@pytest.mark.parametrize("audience", RESERVED)
def test_a_flow_never_gets_a_token_for_us_or_for_a_client(refuse, audience):
    assert "is reserved" in refuse(audience)


@pytest.mark.parametrize("audience", ["https://api.acme.example", "HTTPS://API.acme.example/"])
@pytest.mark.parametrize("openness", ["open", "registered"])
def test_nor_for_an_api(refuse, audience, openness):
    assert "takes access tokens" in refuse(audience, openness=openness)


@pytest.mark.parametrize("audience", [ISSUER + "/x", "sa_x", "sa_0", "user:1", "sts.amazonaws.com", "sa"])
def test_any_other_is_a_verifiers_where_audiences_are_open(refuse, audience):
    assert refuse(audience) is None
    assert "not a registered verifier audience" in refuse(audience, openness="registered")


@pytest.mark.parametrize("openness", ["open", "registered"])
def test_a_registered_verifier_is_everybodys_unless_it_is_bound(refuse, openness):
    assert refuse("https://vault.acme.example/", openness=openness) is None
    assert refuse("https://one.acme.example", openness=openness) is None
    assert refuse("https://one.acme.example", project="two", openness=openness) == "belongs to other projects"
    assert refuse("https://both.acme.example", project="two", openness=openness) is None


class TestRegistering:
    @pytest.fixture
    def session(self, shared_components):
        """Nothing of it stays."""
        with shared_components.database.writing() as session:
            yield session
            session.rollback()

    @pytest.fixture
    def register(self, session):
        def register(uri, kind=API, alg="RS256", bound=()):
            found = [projects.create_project(session, path, by=OPERATOR, now=NOW) for path in bound]
            audiences.register(session, ISSUER, uri, kind, alg, found, by=OPERATOR, now=NOW)

        return register

    @pytest.mark.parametrize("kind", [API, VERIFIER])
    @pytest.mark.parametrize("uri", [*RESERVED, "", "ä", "a" * 256])
    def test_what_is_reserved_or_no_text_is_refused(self, register, uri, kind):
        with pytest.raises(InvalidInput, match="uri: is"):
            register(uri, kind)

    @pytest.mark.parametrize("again", ["https://a.example", "https://A.example/"])
    def test_one_audience_is_not_of_two_kinds(self, register, again):
        register("https://a.example", VERIFIER)
        with pytest.raises(Conflict, match="registered already"):
            register(again, API)

    @pytest.mark.parametrize("alg", ["es256", "none", "HS256", ""])
    def test_an_algorithm_that_is_not_ours_is_refused(self, register, alg):
        with pytest.raises(InvalidInput, match="RS256, PS256, ES256, ES384, EdDSA"):
            register("https://a.example", alg=alg)

    def test_an_api_is_a_uri_for_all_projects(self, register):
        with pytest.raises(InvalidInput, match="absolute URI"):
            register("api.example.com")
        with pytest.raises(InvalidInput, match="not bound to projects"):
            register("https://a.example", bound=["acme/four"])

    def test_the_ledger_tells_of_it_and_of_its_end(self, register, session):
        register("https://a.example")
        audiences.remove(session, "HTTPS://a.example/", by=OPERATOR, now=NOW)
        told = [(row.action, row.detail) for row in session.query(AuditRow).order_by(*ORDER)][-2:]
        detail = {
            "uri": "https://a.example",
            "kind": "api",
            "alg": "RS256",
            "rendering": "composite",
            "projects": [],
            "introspectors": [],
        }
        assert [action for action, _ in told] == ["tokens:audience:add", "tokens:audience:remove"]
        assert told[0][1] == detail

    def test_what_is_not_registered_cannot_be_removed(self, session):
        with pytest.raises(NotFound):
            audiences.remove(session, "https://a.example", by=OPERATOR, now=NOW)

    def test_a_bound_one_goes_with_its_bindings(self, register, session):
        bound = session.query(audiences.AudienceProject)
        before = bound.count()
        register("https://a.example", VERIFIER, bound=["acme/three"])
        assert bound.count() == before + 1
        audiences.remove(session, "https://a.example", by=OPERATOR, now=NOW)
        assert bound.count() == before
