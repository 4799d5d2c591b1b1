"""The first page: is it healthy, what happened today, and what needs somebody."""

from flask import request

from app.operations.audit_events import list_audit_events
from app.operations.keys import list_keys
from app.operations.overview import get_activity, get_overview
from app.representation import Shape
from app.web.console import Answer, console, page
from app.web.lifecycle import is_ahead
from app.web.visit import this_visit

_DENIALS = {"outcome": "denied", "limit": "6"}
_SIGNING = ("active", "next")


@console.get("/")
def overview() -> Answer:
    visit = this_visit()
    hours = 48 if request.args.get("hours") == "48" else 24
    activity = visit.ask(get_activity, query={"hours": str(hours)})["hours"]
    keys = visit.ask(list_keys)["items"]
    return page(
        "overview/overview.html",
        overview=visit.ask(get_overview),
        hours=hours,
        activity=activity,
        totals={name: sum(hour[name] for hour in activity) for name in ("tokens", "runs", "denied")},
        plotted=_plotted(activity),
        keys=[key | {"ahead": is_ahead(key, visit.now)} for key in keys if key["state"] in _SIGNING],
        retired=sum(key["state"] == "retired" for key in keys),
        denials=visit.ask(list_audit_events, query=_DENIALS),
    )


def _plotted(hours: list[Shape]) -> Shape:
    rows = [[hour["at"], hour["tokens"], hour["denied"], hour["runs"]] for hour in hours]
    return {"columns": ["Hour", "Tokens", "Denied", "Runs"], "rows": rows}
