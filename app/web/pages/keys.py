"""Signing keys: what signs, what signs next and when, who knows of it, and what a revocation breaks."""

from http import HTTPStatus
from typing import Any

from flask import request

from app.errors import NotFound
from app.operations import key_conditions
from app.operations import keys as operations
from app.representation import Shape
from app.signing.models import PUBLISHED
from app.web import signing_state
from app.web.console import Answer, ask_or_none, console, go, is_fragment, not_typed, page, say
from app.web.lifecycle import stages
from app.web.twins import api_request, command
from app.web.visit import Outcome, this_visit

_MOST_FETCHERS = 50


@console.get("/keys")
def keys() -> Answer:
    visit, found = this_visit(), _keys()
    published = [key for key in found if key["state"] in PUBLISHED]
    following = [key for key in found if key["state"] == "next"]
    fetches = _fetches(published, following) if visit.role != "member" else None
    since = fetches["since"] if fetches else None
    return page(
        "keys/index.html",
        keys=found,
        stages=stages(signing_state.in_turn(found), visit.now),
        pairs={pair.alg: pair for pair in signing_state.pairs(found, visit.now)},
        following=following,
        notices=signing_state.attention(found, visit.now, since),
        fetchers=signing_state.fetchers(fetches["known"], fetches["since"])[:_MOST_FETCHERS]
        if fetches
        else [],
        impacts=_impacts(published) if visit.role != "member" else {},
        command=command,
        api_request=api_request,
    )


@console.get("/keys/conditions")
def keys_conditions() -> Answer:
    """A part of the page: a keystore may take its time."""
    conditions = signing_state.in_turn(this_visit().ask(key_conditions.list_key_conditions)["items"])
    template = "keys/conditions.html" if is_fragment() else "keys/conditions_page.html"
    return page(template, conditions=conditions, notices=signing_state.of_conditions(conditions))


@console.get("/keys/rotate")
def keys_rotation() -> Answer:
    return _rotation(request.args.get("alg", ""), Outcome())


@console.post("/keys/rotate")
def keys_rotate() -> Answer:
    form = request.form
    body: dict[str, Any] = {"alg": form.get("alg", ""), "expected": form.get("expected", "")}
    if form.get("now") == "true":
        body |= {"now": True, "reason": form.get("reason", "").strip()}
    outcome = this_visit().attempt(operations.rotate_keys, body=body)
    if outcome.refusal is not None:
        return _rotation(body["alg"], outcome)
    for each in outcome.answer["rotated"]:
        say(f"{each['alg']}: {each['active']} signs now; {each['retired']} is retired.")
    return go("console.keys")


@console.get("/keys/<kid>/revoke")
def keys_revocation(kid: str) -> Answer:
    return _revocation(kid, Outcome())


@console.post("/keys/<kid>/revoke")
def keys_revoke(kid: str) -> Answer:
    form = request.form
    if form.get("confirmation", "").strip() != kid:
        return _revocation(kid, not_typed("Nothing was revoked.", "key id"))
    body = {"reason": form.get("reason", "").strip(), "expected": form.get("expected", "")}
    outcome = this_visit().attempt(operations.revoke_key, kid=kid, body=body)
    if outcome.refusal is not None:
        return _revocation(kid, outcome)
    active = outcome.answer["active"]
    say(
        f"{kid} is revoked, and out of the JWKS."
        + (f" {active} signs {outcome.answer['impact']['alg']}." if active else "")
    )
    return go("console.keys")


def _keys() -> list[Shape]:
    found: list[Shape] = this_visit().ask(operations.list_keys)["items"]
    return found


def _fetches(published: list[Shape], following: list[Shape]) -> dict[str, Any] | None:
    """Everybody since the oldest key of the JWKS was published, and who of them since each *next* was."""
    if not published:
        return None
    oldest = min(published, key=lambda key: key["published_at"])["kid"]
    known = ask_or_none(operations.list_key_fetches, query={"kid": oldest})
    if known is None:
        return None
    since = {
        key["kid"]: this_visit().ask(operations.list_key_fetches, query={"kid": key["kid"]})["items"]
        for key in following
    }
    return {"known": known["items"], "since": since}


def _impacts(published: list[Shape]) -> dict[str, Shape]:
    found = {key["kid"]: ask_or_none(operations.get_key_impact, kid=key["kid"]) for key in published}
    return {kid: impact for kid, impact in found.items() if impact is not None}


def _rotation(alg: str, outcome: Outcome) -> Answer:
    found, now = _keys(), this_visit().now
    pair = next((pair for pair in signing_state.pairs(found, now) if pair.alg == alg), None)
    if pair is None or pair.following is None:
        raise NotFound(alg)
    shown = page(
        "keys/rotation.html",
        pair=pair,
        outcome=outcome,
        command=command,
        api_request=api_request,
    )
    return shown, outcome.status


def _revocation(kid: str, outcome: Outcome) -> Answer:
    visit = this_visit()
    impact = visit.ask(operations.get_key_impact, kid=kid)
    found = _keys()
    key = next(key for key in found if key["kid"] == kid)
    pair = next((pair for pair in signing_state.pairs(found, visit.now) if pair.active["kid"] == kid), None)
    status = outcome.status if key["state"] in PUBLISHED or outcome.refusal else HTTPStatus.OK
    shown = page(
        "keys/revocation.html",
        key=key,
        pair=pair,
        impact=impact,
        is_published=key["state"] in PUBLISHED,
        outcome=outcome,
        command=command,
        api_request=api_request,
    )
    return shown, status
