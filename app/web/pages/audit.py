"""Audit: the ledger, searched; one event with its place in the chain; and what was found as a file."""

import orjson
from flask import request

from app.ledger.actions import AuditAction
from app.operations.audit_events import list_audit_events
from app.operations.audit_exports import MOST, export_audit_events, export_audit_events_as_csv
from app.operations.audit_positions import get_audit_chain, get_audit_event
from app.representation import Shape
from app.web.audit_search import AuditSearch
from app.web.console import Answer, console, download, is_fragment, page
from app.web.twins import api_request
from app.web.visit import this_visit

_NOTHING: Shape = {"items": [], "next_cursor": None, "names": {}}
_EXPORTS = {
    "jsonl": (export_audit_events, "application/jsonl"),
    "csv": (export_audit_events_as_csv, "text/csv"),
}


@console.get("/audit")
def audit() -> Answer:
    visit, search = this_visit(), AuditSearch.of(request.args)
    cursor = request.args.get("cursor", "")
    outcome = visit.attempt(list_audit_events, query={**search.asked, "cursor": cursor})
    shown = page(
        "audit/index.html",
        search=search,
        cursor=cursor,
        outcome=outcome,
        found=outcome.answer or _NOTHING,
        actions=sorted(action.value for action in AuditAction),
        chain=None if visit.role == "member" else visit.ask(get_audit_chain),
        chain_api=api_request("GET", "/audit-events/head"),
        most=MOST,
    )
    return shown, outcome.status


@console.get("/audit/events/<int:writer>/<int:seq>")
def audit_event(writer: int, seq: int) -> Answer:
    event = this_visit().ask(get_audit_event, writer=writer, seq=seq)
    template = "audit/facts.html" if is_fragment() else "audit/event.html"
    detail = orjson.dumps(event["detail"], option=orjson.OPT_INDENT_2).decode()
    return page(template, event=event, names=event["names"], detail=detail)


@console.get("/audit/export.<any(jsonl, csv):ending>")
def audit_export(ending: str) -> Answer:
    handler, media_type = _EXPORTS[ending]
    return download(this_visit().ask(handler, query=AuditSearch.of(request.args).asked), media_type)
