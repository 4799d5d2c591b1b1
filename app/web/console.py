"""The blueprint that all pages hang on, and how one is shown."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, render_template, request, session, url_for
from markupsafe import Markup, escape
from werkzeug.wrappers import Response as BaseResponse

from app.errors import Conflict
from app.operations.call import Download
from app.web.visit import NOTHING, REFUSALS, Outcome, Values, this_visit

console = Blueprint("console", __name__, url_prefix="/console")
Answer = str | tuple[str, int] | BaseResponse
_KEY_LENGTH = 16
_KEYS_KEPT = 20
_CODE = re.compile(r"`([^`\n]+)`")


def page(template: str, **values: Any) -> str:
    """``template`` below ``pages/``."""
    return render_template(f"pages/{template}", **values)


def is_fragment() -> bool:
    """Whether htmx asks for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def go(endpoint: str, **values: Any) -> BaseResponse:
    """After something was done: a GET, so that reloading does nothing again (RFC 9110 §15.4.4)."""
    return redirect(url_for(endpoint, **values), 303)


def say(text: str, kind: str = "good", request_id: str = "") -> None:
    """On the next page; ``kind``: ``good``, ``info``, ``warn``, ``bad``. In a cookie: never a secret.
    ``request_id``: what finds it in the ledger.
    """
    flash(text, f"{kind} {request_id}".strip())


@console.app_template_global()
def refused_request() -> str:
    """The id of this request, where the ledger tells its visitor why it was refused: once on a page."""
    if not g.pop("was_refused", False):
        return ""
    visit = this_visit()
    return visit.request_id if visit.has_told() else ""


def act(handler: Any, /, *, said: str, body: Mapping[str, Any] | None = None, **path: Any) -> Outcome:
    """For a button that has no form to be shown again: does it, and says on the next page what came of it."""
    outcome = this_visit().attempt(handler, body=body, **path)
    if outcome.refusal is None:
        say(said)
    else:
        say(outcome.refusal, "bad", refused_request())
    return outcome


@console.app_template_global()
def one_time_key() -> str:
    """For a form that ``make_once`` answers."""
    return secrets.token_urlsafe(_KEY_LENGTH)[:_KEY_LENGTH]


def make_once(handler: Any, /, **given: Any) -> Outcome:
    """``attempt`` of what is shown once: the form sent again, as by reloading its answer, makes no other.

    The cookie that ``say`` uses remembers the keys of the last forms.
    """
    key, made = request.form.get("once", "")[:_KEY_LENGTH], session.get("made", [])
    if key in made:
        raise Conflict("It was made already, and is shown once: make another one.")
    outcome = this_visit().attempt(handler, **given)
    if key and outcome.refusal is None:
        session["made"] = [*made, key][-_KEYS_KEPT:]
    return outcome


@console.app_template_filter()
def counted(number: int, noun: str) -> str:
    """``1 run``, ``2,000 runs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@console.app_template_filter()
def with_code(text: str) -> Markup:
    """Code where backticks have it, as in the words of the API and of the linter."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first


def by_field(outcome: Outcome) -> dict[str, str]:
    """``scopes.0`` is of the field ``scopes``."""
    return {key.partition(".")[0]: fix for key, fix in outcome.faults.items()}


def not_typed(refusal: str, what: str) -> Outcome:
    """``what`` was to be typed once more, to confirm."""
    return Outcome(None, refusal, {"confirmation": f"is not the {what}: type it as it stands here"}, 422)


def download(of: Download, media_type: str) -> Response:
    response = Response(of.content, mimetype=media_type)
    response.headers.set("Content-Disposition", "attachment", filename=of.name)
    return response


def whole(handler: Any, /, *, query: Values = NOTHING, **path: Any) -> list[Any]:
    """All items of a list that is short by its nature, such as the members of a project."""
    items: list[Any] = []
    cursor = None
    while True:
        asked = {**query, "limit": "200", "cursor": cursor}
        answer = this_visit().ask(handler, query=asked, **path)
        items += answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None:
            return items


def suggested(handler: Any, name: str) -> list[str]:
    """Names that a field offers, up to 200; whoever knows another one types it."""
    return [each[name] for each in this_visit().ask(handler, query={"limit": "200"})["items"]]


def ask_or_none(handler: Any, /, **given: Any) -> Any:
    """For a part of a page that not everybody may see, and that may not be there."""
    try:
        return this_visit().ask(handler, **given)
    except REFUSALS:
        return None
