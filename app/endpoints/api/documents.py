"""What anybody may read of the API without a token, because it is the same for everybody."""

from collections.abc import Callable, Mapping
from functools import cache

import orjson

from app.endpoints.api import openapi
from app.flows import schema
from app.flows.configuration import Configuration
from app.operations.resources import operations


@cache
def _description(issuer: str) -> bytes:
    return orjson.dumps(openapi.document([*operations().values()], issuer))


@cache
def _agent_config(_issuer: str) -> bytes:
    return orjson.dumps(schema.of(Configuration))


DOCUMENTS: Mapping[str, Callable[[str], bytes]] = {
    "/openapi.json": _description,
    "/schemas/agent-config.json": _agent_config,
}
"""By path below ``/api/v1``, of an issuer."""
