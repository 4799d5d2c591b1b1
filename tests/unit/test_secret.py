"""A secret is seen only by whoever asks for it by name."""

import copy
import json
import logging
import pickle

import orjson
import pytest

from app.secret import Secret

VALUE = "hunter2-canary"


@pytest.fixture
def secret():
    return Secret(VALUE)


def test_it_reveals_itself_on_request_alone(secret):
    assert secret.reveal() == VALUE


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        "{}".format,
        "{!r}".format,
        "{:>40}".format,
        lambda secret: f"{secret}{secret!s:5}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - as a log call does
        lambda secret: repr([secret, {"k": secret}]),
        ascii,
    ],
)
def test_no_way_of_showing_shows_it(secret, show):
    assert VALUE not in show(secret)
    assert "Secret(********)" in show(secret)


@pytest.mark.parametrize(
    "serialise",
    [
        json.dumps,
        orjson.dumps,
        pickle.dumps,
        *(lambda secret, protocol=protocol: pickle.dumps(secret, protocol) for protocol in range(6)),
        copy.copy,
        copy.deepcopy,
    ],
)
def test_no_serialiser_takes_it(secret, serialise):
    with pytest.raises(TypeError) as refused:
        serialise(secret)
    assert VALUE not in str(refused.value)


def test_a_log_line_does_not_show_it(secret, caplog):
    logging.getLogger("test").warning("opened with %s and %r", secret, {"secret": secret})
    assert VALUE not in caplog.text


def test_two_of_one_value_are_equal_and_a_text_is_not_one(secret):
    assert secret == Secret(VALUE)
    assert secret != Secret("other")
    assert secret != VALUE
    assert len({secret, Secret(VALUE), Secret("other")}) == 2


def test_it_has_no_dictionary_to_be_dumped(secret):
    with pytest.raises(TypeError):
        vars(secret)
