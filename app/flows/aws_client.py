"""Clients of AWS that know nothing of the machine they are on, and go out by our own door alone."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3
import requests
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import CredentialResolver
from botocore.loaders import Loader
from botocore.session import Session
from botocore.tokens import TokenProviderChain

from app.flows.outbound import Outbound
from app.secret import Secret

_FILES = {"config_file": os.devnull, "credentials_file": os.devnull}


@dataclass(frozen=True)
class AwsCredentials:
    """Of a role that was assumed, for a quarter of an hour."""

    key_id: str
    key: Secret
    token: Secret


def aws_client(
    service: str, region: str, outbound: Outbound, endpoint: str | None, credentials: AwsCredentials | None
) -> Any:
    """boto3's client of ``service``; unsigned without ``credentials``. ``endpoint``: ``None`` for AWS's own.

    The name of its host is looked up now, once. Raises OutboundRefusal for an address that is not allowed.
    """
    keys = {} if credentials is None else _keys(credentials)
    unsigned = {} if credentials else {"signature_version": UNSIGNED}
    config = Config(
        ignore_configured_endpoint_urls=True,
        retries={"total_max_attempts": 1},
        user_agent="countersign",
        **unsigned,
    )
    session = boto3.Session(botocore_session=_bare_session(), region_name=region)
    client = session.client(service, endpoint_url=endpoint, config=config, **keys)
    door = outbound.session(client.meta.endpoint_url)
    client.meta.events.register("before-send", partial(_send, door))
    return client


def _bare_session() -> Session:
    """One whose settings are constants: no environment, profile, file, container or instance is asked.

    Nor do service models come from ``~/.aws/models``.
    """
    constants = {
        name: (None, None, _FILES.get(name, default), conversion)
        for name, (_, _, default, conversion) in Session.SESSION_VARIABLES.items()
    }
    session = Session(session_vars=constants, include_builtin_handlers=True)
    session.register_component("credential_provider", CredentialResolver([]))
    session.register_component("token_provider", TokenProviderChain([]))
    own_models = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    session.register_component("data_loader", own_models)
    return session


def _keys(credentials: AwsCredentials) -> dict[str, str]:
    return {
        "aws_access_key_id": credentials.key_id,
        "aws_secret_access_key": credentials.key.reveal(),
        "aws_session_token": credentials.token.reveal(),
    }


def _send(door: requests.Session, request: AWSPreparedRequest, **_event: object) -> AWSResponse:
    """In place of botocore's own way out: it takes what ``before-send`` returns for the answer."""
    headers = {name: _text(value) for name, value in request.headers.items()}
    answer = door.request(
        request.method,
        request.url,
        data=request.body,
        headers={**headers, "Accept": "*/*"},  # asked for JSON, STS would answer in it
        allow_redirects=False,
    )
    return AWSResponse(request.url, answer.status_code, answer.headers, _Body(answer.content))


class _Body:
    """A body that has come already, as botocore reads one."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


def _text(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else value
