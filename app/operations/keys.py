"""Signing keys: their public history, and what ends it."""

import logging
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from app import representation as shapes
from app.errors import Conflict, InvalidInput, Refusal
from app.operations.call import Call, naming
from app.operations.operation import By, Resource
from app.operations.problem import KEYLESS
from app.operations.schemas import Input, Output, Page
from app.representation import Shape
from app.signing import rotations
from app.signing.algorithms import Algorithm
from app.signing.checks import TooEarly
from app.signing.fetches import fetched_since
from app.signing.keystores import KeystoreError
from app.signing.transitions import LONGEST_REASON
from app.tokens.key_impact import impact_of

keys = Resource("Keys")

_THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
Kid = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{43}$", description="Key id (RFC 7638 thumbprint).", examples=[_THUMBPRINT]
    ),
]
Reason = Annotated[
    str, Field(min_length=1, max_length=LONGEST_REASON, description="For the ledger.", examples=["leaked"])
]

_OVERRIDE = "or send `now`, with a `reason`"

_log = logging.getLogger(__name__)


class KeyAnswer(Output):
    kid: str
    alg: str
    state: str
    keystore: str
    published_at: str | None
    activated_at: str | None
    retired_at: str | None
    removed_at: str | None
    revoked_at: str | None
    destroyed_at: Annotated[str | None, Field(description="Since when there is no private half.")]
    reason: Annotated[str | None, Field(description="Why it was revoked; administrators read it.")]
    signs_from: Annotated[str | None, Field(description="Since when it signs, or when `next` may.")]
    leaves_jwks_by: Annotated[str | None, Field(description="Of a retired key: it is out by then.")]


class FetchAnswer(Output):
    agent: str
    network: str
    count: int
    first_at: str
    last_at: str


class ImpactAnswer(Output):
    """What is alive of what the key has signed, and how long whoever has fetched the key believes it."""

    kid: str
    alg: str
    state: str
    access_tokens: int
    id_tokens: int
    until: str | None
    audiences: list[str]
    verifiers_keep_it: dict[str, str]


class RevokedAnswer(Output):
    kid: str
    state: str
    reason: str
    active: Annotated[str | None, Field(description="The key that signs in its place.")]
    impact: ImpactAnswer


class RotatedAnswer(Output):
    alg: str
    active: str
    retired: str


class WaitingAnswer(Output):
    alg: str
    reason: str


class RotationsAnswer(Output):
    rotated: list[RotatedAnswer]
    waiting: list[WaitingAnswer]


class FetchesQuery(Input):
    kid: Annotated[Kid | None, Field(description="Without it the newest key.")] = None


class RotationBody(Input):
    alg: Annotated[Algorithm | None, Field(description="Without it every algorithm in use.")] = None
    now: Annotated[
        bool,
        Field(description="Before verifiers have had time to fetch the next key; with `reason`, on record."),
    ] = False
    reason: Reason | None = None
    expected: Annotated[
        Kid | None, Field(description="The active key that the caller has seen, of `alg`.")
    ] = None


class RevocationBody(Input):
    reason: Reason
    expected: Annotated[
        Literal["next", "active", "retired"] | None,
        Field(description="The state in which the caller has seen the key."),
    ] = None


@keys.operation("GET", "/keys", by=By.ANYBODY, answer=Page[KeyAnswer], opens="nothing")
def list_keys(call: Call) -> Shape:
    """List signing keys, the newest publication first; the keys themselves are in the JWKS."""
    lead = call.components.settings.key_publish_lead
    items = [shapes.signing_key(row, lead) for row in call.components.keyring.history()]
    if not call.caller.sees_all:
        items = [item | {"reason": None} for item in items]
    return {"items": items, "next_cursor": None}


@keys.operation("GET", "/keys/fetches", by=By.OVERSEER, answer=Page[FetchAnswer])
def list_key_fetches(call: Call, query: FetchesQuery) -> Shape:
    """List who has fetched the JWKS since a key was published in it, by user agent and network."""
    kid = query.kid or call.components.keyring.current().newest
    with naming("kid"):
        found = fetched_since(call.session, kid)
    return {"items": [shapes.fetched(each) for each in found], "next_cursor": None}


@keys.operation("GET", "/keys/{kid}/impact", by=By.OVERSEER, answer=ImpactAnswer)
def get_key_impact(call: Call, kid: Kid) -> Shape:
    """Tell what revoking a key would break."""
    return _impact(call, call.session, kid)


@keys.operation(
    "POST",
    "/keys/rotate",
    by=By.ADMINISTRATOR,
    answer=RotationsAnswer,
    statuses=(200,),
    problems=(409,),
    opens="nothing",
)
def rotate_keys(call: Call, body: RotationBody) -> Shape:
    """Let the next keys sign from now on, retire the active ones, and publish new next ones.

    An algorithm that has to wait holds up no other; 409 if all have to.
    """
    if body.now != (body.reason is not None):
        raise InvalidInput("reason: belongs to now, and now to it")
    if body.expected is not None and body.alg is None:
        raise InvalidInput("alg: name that of the expected key")
    wish = rotations.Wish(algorithm=body.alg, expected=body.expected, override=body.reason)
    parts = call.components
    try:
        with naming("alg"):
            done = rotations.rotate(parts.lifecycle, parts.keyring, wish, call.by, call.admit_again)
    except TooEarly as early:
        raise Conflict(early.worded(_OVERRIDE)) from None
    waiting = {alg: _worded(alg, refusal) for alg, refusal in done.waiting.items()}
    return shapes.rotations(replace(done, waiting=waiting))


def _worded(alg: Algorithm, refusal: Refusal) -> Refusal:
    """What a keystore says is for operators."""
    if isinstance(refusal, TooEarly):
        return Conflict(refusal.worded(_OVERRIDE))
    if not isinstance(refusal, KeystoreError):
        return refusal
    _log.error("%s is not rotated: %s", alg, refusal)
    return Refusal(KEYLESS)


@keys.operation(
    "POST",
    "/keys/{kid}/revoke",
    by=By.ADMINISTRATOR,
    answer=RevokedAnswer,
    statuses=(200,),
    problems=(409,),
    opens="nothing",
)
def revoke_key(call: Call, kid: Kid, body: RevocationBody) -> Shape:
    """Take a key out of the JWKS at once, for ever; in place of an active one the next signs.

    Ask for its impact first.
    """
    parts = call.components
    with parts.database.reading() as session:
        impact = _impact(call, session, kid)
    row = parts.lifecycle.revoke(kid, body.reason, call.by, expected=body.expected, permit=call.admit_again)
    return shapes.revoked_key(row, parts.keyring.current().active_kid(row.alg), impact)


def _impact(call: Call, session: Session, kid: str) -> Shape:
    return shapes.key_impact(impact_of(session, kid, call.now), call.components.settings.jwks_max_age)
