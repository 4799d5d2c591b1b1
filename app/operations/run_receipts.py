"""What a run was given, by name: ID tokens, and the secrets that they opened. Never a value."""

from typing import Any

from sqlalchemy import select

from app.clock import rfc3339
from app.flows.models import ConfigurationVersion, Run
from app.flows.run_facts import flow_of
from app.ledger.actions import AuditAction
from app.ledger.models import AuditRow
from app.operations.call import Call
from app.operations.operation import By, Resource
from app.operations.runs import visible_run
from app.operations.schemas import Number, Output
from app.representation import Shape

run_receipts = Resource("Runs")

_GIVEN = (AuditAction.ID_TOKEN_ISSUE.value, AuditAction.SECRET_READ.value)
_MOST = 500


class MintedAnswer(Output):
    name: str
    jti: str | None
    sub: str
    aud: list[str]
    at: str
    outcome: str


class OpenedAnswer(Output):
    """`token` is the name of the ID token that opened it; `place` is where it lies."""

    name: str
    token: str | None
    place: str
    version: str | None
    at: str
    outcome: str
    reason: str | None


class ReceiptAnswer(Output):
    """In the order of events, the oldest first, 500 at most."""

    id: int
    configuration: int | None
    inputs: list[str]
    id_tokens: list[MintedAnswer]
    secrets: list[OpenedAnswer]


@run_receipts.operation("GET", "/runs/{id}/receipt", by=By.ANYBODY, answer=ReceiptAnswer)
def get_run_receipt(call: Call, id: Number) -> Shape:
    """Tell which ID tokens a run was given, and which of them opened which secret. Needs `run.read`."""
    run = visible_run(call, id, "run.read")
    rows = call.session.scalars(
        select(AuditRow)
        .where(AuditRow.run == id, AuditRow.action.in_(_GIVEN))
        .order_by(AuditRow.at, AuditRow.writer, AuditRow.seq)
        .limit(_MOST)
    ).all()
    opened_by = _opened_by(call, run)
    return {
        "id": id,
        "configuration": run.configuration_id,
        "inputs": sorted(run.given_inputs or {}),
        "id_tokens": [_minted(row) for row in rows if row.action == _GIVEN[0]],
        "secrets": [_opened(row, opened_by) for row in rows if row.action == _GIVEN[1]],
    }


def _opened_by(call: Call, run: Run) -> dict[str, str]:
    """The name of the token by that of the secret, as the run's configuration has it."""
    version = call.session.get(ConfigurationVersion, run.configuration_id or 0)
    if version is None:
        return {}
    return {name: secret.token for name, secret in flow_of(version, run.flow).secrets.items()}


def _minted(row: AuditRow) -> Shape:
    audience = row.detail.get("aud", [])
    return {
        "name": row.detail.get("name", ""),
        "jti": row.jti,
        "sub": row.detail.get("sub", ""),
        "aud": [audience] if isinstance(audience, str) else audience,
        **_when(row),
    }


def _opened(row: AuditRow, opened_by: dict[str, str]) -> Shape:
    told = row.detail
    version = told.get("version")
    return {
        "name": told["name"],
        "token": opened_by.get(told["name"]),
        "place": ": ".join(str(told[key]) for key in ("engine", "mount", "region", "path") if told.get(key)),
        "version": None if version is None else str(version),
        "reason": told.get("reason"),
        **_when(row),
    }


def _when(row: AuditRow) -> dict[str, Any]:
    return {"at": rfc3339(row.at), "outcome": row.outcome}
