"""Whether the keys that sign can, tried with their keystores: it may take its time, so it is asked apart."""

from typing import Annotated

from pydantic import Field

from app.clock import rfc3339
from app.operations.call import Call
from app.operations.operation import By, Resource
from app.operations.schemas import Output, Page
from app.representation import Shape
from app.signing.models import SIGNING, KeyState, SigningKey

key_conditions = Resource("Keys")


class ConditionAnswer(Output):
    kid: str
    alg: str
    state: str
    keystore: str
    can_sign: Annotated[
        bool | None,
        Field(
            description="As found within the last minute. If not, the log and `countersign doctor` tell why; "
            "`null`: the keystores took too long to try them all."
        ),
    ]
    rotates_at: Annotated[str | None, Field(description="Of an active key: when the worker rotates it.")]
    overdue: Annotated[bool, Field(description="It should have been rotated by now.")]


@key_conditions.operation(
    "GET", "/keys/conditions", by=By.OVERSEER, answer=Page[ConditionAnswer], opens="nothing"
)
def list_key_conditions(call: Call) -> Shape:
    """Try every active and next key with its keystore, and tell when it is due for rotation."""
    rows = [row for row in call.components.keyring.history() if row.state in SIGNING]
    can_sign = call.components.key_trials.of(rows)
    return {"items": [_condition(call, row, can_sign=can_sign[row.kid]) for row in rows], "next_cursor": None}


def _condition(call: Call, row: SigningKey, *, can_sign: bool | None) -> Shape:
    parts = call.components
    since = row.activated_at if row.state == KeyState.ACTIVE else None
    return {
        "kid": row.kid,
        "alg": row.alg,
        "state": row.state,
        "keystore": row.keystore,
        "can_sign": can_sign,
        "rotates_at": rfc3339(since + parts.settings.key_rotation_period) if since else None,
        "overdue": since is not None and since < parts.overdue_before(),
    }
