"""Audiences: who takes tokens of this issuer, and in which shape."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from flask import request

from app.errors import NotFound
from app.operations import audiences as operations
from app.operations import keys
from app.representation import Shape
from app.signing.algorithms import ALWAYS, Algorithm
from app.tokens.audiences import AudienceKind, Rendering
from app.tokens.verifiers import EXCLUDES, REFUSES_ALL
from app.web import signing_state
from app.web.console import Answer, by_field, console, go, not_typed, page, say, whole
from app.web.twins import api_request, command
from app.web.visit import ABSENT, Outcome, this_visit

_FIELDS = ("uri", "kind", "alg", "rendering", "projects", "introspect")
_TAKEN = Outcome(
    refusal="It was not added.", faults={"uri": "is registered already: change that one"}, status=409
)


@console.get("/audiences")
def audiences() -> Answer:
    return page(
        "audiences/index.html",
        audiences=whole(operations.list_audiences),
        waiting=_waiting(),
        **_told(),
    )


@console.get("/audiences/new")
def audiences_new() -> Answer:
    given = {
        "kind": AudienceKind.API,
        "alg": ALWAYS,
        "rendering": Rendering.COMPOSITE,
    } | request.args.to_dict()
    return _form(given, Outcome())


@console.post("/audiences/new")
def audiences_add() -> Answer:
    uri = request.form.get("uri", "").strip()
    if _found(uri) is not None:
        return _form(request.form, _TAKEN)
    outcome = this_visit().attempt(operations.put_audience, uri=uri, body=_body(request.form), etag=ABSENT)
    if outcome.refusal is not None:
        return _form(request.form, outcome)
    say(f"{uri} is registered{_signed(outcome.answer['alg'])}.")
    return go("console.audiences")


@console.get("/audiences/change")
def audiences_change() -> Answer:
    return _change(_one(request.args.get("uri", "")), Outcome())


@console.post("/audiences/change")
def audiences_put() -> Answer:
    shape = _one(request.form.get("uri", ""))
    form = request.form | {"kind": shape["kind"]}
    etag = form.get("etag", ABSENT)
    outcome = this_visit().attempt(operations.put_audience, uri=shape["uri"], body=_body(form), etag=etag)
    if outcome.is_stale:
        return _change(_one(shape["uri"]), outcome)
    if outcome.refusal is not None:
        return _form(form, outcome, shape)
    say(f"{shape['uri']} is changed{_signed(outcome.answer['alg'])}.")
    return go("console.audiences")


@console.get("/audiences/remove")
def audiences_removal() -> Answer:
    return _removal(_one(request.args.get("uri", "")), Outcome())


@console.post("/audiences/remove")
def audiences_remove() -> Answer:
    shape = _one(request.form.get("uri", ""))
    if request.form.get("confirmation", "").strip() != shape["uri"]:
        return _removal(shape, not_typed("Nothing was removed.", "audience"))
    outcome = this_visit().attempt(operations.delete_audience, uri=shape["uri"])
    if outcome.refusal is not None:
        return _removal(shape, outcome)
    say(f"{shape['uri']} is not registered any more.")
    return go("console.audiences")


def _one(uri: str) -> Shape:
    shape: Shape = this_visit().ask(operations.get_audience, uri=uri)
    return shape


def _found(uri: str) -> Shape | None:
    try:
        return _one(uri)
    except NotFound:
        return None


def _body(form: Mapping[str, Any]) -> dict[str, Any]:
    """Of a form whose lists are lines; what the other kind alone has is left as it is by default."""
    body: dict[str, Any] = {"kind": form.get("kind", ""), "alg": form.get("alg", "")}
    if body["kind"] == AudienceKind.API:
        rendering = form.get("rendering") or Rendering.COMPOSITE
        return body | {"rendering": rendering, "introspect": _lines(form.get("introspect", ""))}
    return body | {"projects": _lines(form.get("projects", "")) or None}


def _lines(text: str) -> list[str]:
    return sorted({line.strip() for line in text.splitlines() if line.strip()})


def _change(shape: Shape, outcome: Outcome) -> Answer:
    """As it is now."""
    given = shape | {name: "\n".join(shape[name] or ()) for name in ("projects", "introspect")}
    return _form(given | {"etag": this_visit().etag(shape)}, outcome, shape)


def _form(given: Mapping[str, Any], outcome: Outcome, current: Shape | None = None) -> Answer:
    body = _body(given if given.get("kind") else {"kind": AudienceKind.API, "alg": ALWAYS})
    shown = page(
        "audiences/form.html",
        given=given,
        current=current,
        is_last=current is not None and _is_last(current),
        outcome=outcome,
        faults=by_field(outcome),
        why=request.args.get("why", ""),
        body=body,
        shell=partial(_shell, body, is_change=current is not None),
        **_told(),
    )
    return shown, outcome.status


def _shell(body: Mapping[str, Any], uri: str, *, is_change: bool) -> str:
    """The command that does what the form does: each list whole, and an empty one said to be."""
    words = ["change", uri] if is_change else ["add", uri, "--kind", body["kind"]]
    words += ["--alg", body["alg"]]
    if "rendering" in body:
        words += ["--rendering", body["rendering"]]
    for option, key in (("project", "projects"), ("introspect", "introspect")):
        words += [word for name in body.get(key) or () for word in (f"--{option}", name)]
        if is_change and key in body and not body[key]:
            words.append(f"--no-{option}")
    return command("audience", *words)


def _removal(shape: Shape, outcome: Outcome) -> Answer:
    shown = page("audiences/removal.html", each=shape, is_last=_is_last(shape), outcome=outcome, **_told())
    return shown, outcome.status


def _told() -> dict[str, Any]:
    """What every page of this screen says."""
    return {
        "excludes": EXCLUDES,
        "refuses_all": REFUSES_ALL,
        "algorithms": [each.value for each in Algorithm],
        "always": ALWAYS.value,
        "command": command,
        "api_request": api_request,
        "api_path": lambda uri: f"/audiences/{quote(uri, safe='')}",
    }


def _is_last(shape: Shape) -> bool:
    """Whether its algorithm goes out of use with it."""
    if shape["alg"] == ALWAYS:
        return False
    asking = [each for each in whole(operations.list_audiences) if each["alg"] == shape["alg"]]
    return [each["uri"] for each in asking] == [shape["uri"]]


def _waiting() -> dict[str, str]:
    """From when each algorithm signs that was just taken into use."""
    visit = this_visit()
    found = signing_state.pairs(visit.ask(keys.list_keys)["items"], visit.now)
    return {pair.alg: pair.active["signs_from"] for pair in found if pair.is_waiting}


def _signed(alg: str) -> str:
    since = _waiting().get(alg)
    return (
        f"; its tokens are signed with {ALWAYS} until {since[:16]}Z, with {alg} from then on" if since else ""
    )
