"""Whatever is sent to the token endpoint, it answers; and what it issues stands in no log."""

import logging
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.components import TOKEN, claims_of

TEXTS = st.text(max_size=40) | st.sampled_from(["client_credentials", "api", "user:1", "sa_2", "user:*", ""])
NAMES = st.sampled_from(["grant_type", "scope", "resource", "client_id", "client_secret"]) | st.text(
    max_size=12
)
FORMS = st.dictionaries(NAMES, TEXTS | st.lists(TEXTS, max_size=3), max_size=7)
BODIES = st.binary(max_size=300) | st.text("abc=&%+;01 \x00é", max_size=80).map(str.encode)
TYPES = st.sampled_from(
    [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=\xff",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/json",
        "",
    ]
)
on_a_shared_world = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)  # nothing that an example does matters to the next


def is_an_answer(answer):
    assert answer.status_code in {200, 400, 401, 413}, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.is_json
    assert ("access_token" in answer.get_json()) == (answer.status_code == 200)


@on_a_shared_world
@given(form=FORMS)
def test_any_form_of_a_client_is_answered(shared_world, form):
    is_an_answer(shared_world.ask(**form))


@on_a_shared_world
@given(body=BODIES, content_type=TYPES, query=st.text("ab=&%é[]", max_size=10))
def test_any_body_is_answered(shared_world, body, content_type, query):
    answer = shared_world.http.post(
        TOKEN,
        data=body,
        content_type=content_type,
        query_string=query,
        headers={"Authorization": shared_world.basic()},
    )
    is_an_answer(answer)


@on_a_shared_world
@given(header=st.binary(max_size=60), scheme=st.sampled_from([b"Basic ", b"basic ", b"Bearer ", b""]))
def test_any_authorization_is_answered(shared_world, header, scheme):
    authorization = (scheme + header).decode("latin-1").replace("\r", "").replace("\n", "")
    is_an_answer(shared_world.ask(authorization=authorization or "x", scope="api"))


@on_a_shared_world
@given(user=st.binary(max_size=30), password=st.binary(max_size=30))
def test_any_basic_pair_is_answered(shared_world, user, password):
    pair = b64encode(user + b":" + password).decode()
    is_an_answer(shared_world.ask(authorization=f"Basic {pair}", scope="api"))


def test_the_length_of_what_is_asked_is_bounded(shared_world):
    is_an_answer(shared_world.ask(**{f"name{number}": "x" for number in range(2000)}))


@pytest.fixture
def everything_logged(caplog):
    """As much as any logger says, Authlib's too, which we keep quiet otherwise."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="authlib")
    return caplog


def test_no_token_and_no_secret_is_ever_logged(everything_logged, world):
    answer = world.ask(scope=world.scope)
    token = answer.get_json()["access_token"]
    claims_of(answer)
    world.ask(scope="nonsense")
    world.ask(authorization=world.basic(secret=world.new_secret()[1]), scope="nonsense")
    said = everything_logged.text + repr([vars(each) for each in everything_logged.records])
    for part in (*token.split("."), world.secret.reveal()):
        assert part[:40] not in said


def test_the_logger_that_would_show_tokens_is_kept_quiet(world):
    assert not logging.getLogger("authlib.oauth2.rfc6749.grants.client_credentials").isEnabledFor(
        logging.DEBUG
    )
