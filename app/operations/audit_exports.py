"""Events as files: as many as a web worker may prepare; the command line has no bound."""

from collections.abc import Iterator
from itertools import islice

from app import representation as shapes
from app.ledger import search, table
from app.operations.audit_events import AuditFilter, visible
from app.operations.call import Call, Download
from app.operations.operation import By, Resource
from app.representation import Shape

audit_exports = Resource("Audit events")

MOST = 10_000
"""Events in one file: some 5 MB, and half a second of a web worker."""


@audit_exports.operation("GET", "/audit-events/export.jsonl", by=By.ANYBODY, gives="application/jsonl")
def export_audit_events(call: Call, query: AuditFilter) -> Download:
    """Download events as JSON Lines, the newest first: the last 10,000 that match.

    `countersign audit export` writes them all.
    """
    return Download(b"".join(table.json_lines(_events(call, query))), _name(call, "jsonl"))


@audit_exports.operation("GET", "/audit-events/export.csv", by=By.ANYBODY, gives="text/csv")
def export_audit_events_as_csv(call: Call, query: AuditFilter) -> Download:
    """Download events as CSV, the newest first: the last 10,000 that match. Cells are no formulas.

    `countersign audit export --format csv` writes them all.
    """
    return Download("".join(table.csv_lines(_events(call, query))).encode(), _name(call, "csv"))


def _events(call: Call, query: AuditFilter) -> Iterator[Shape]:
    """Row by row, so that there is one copy in memory: the file."""
    rows = search.newest_first(call.session, visible(call, query))
    return (shapes.audit_event(row) for row in islice(rows, MOST))


def _name(call: Call, ending: str) -> str:
    return f"audit-{call.now:%Y%m%dT%H%M%SZ}.{ending}"
