"""A start that is asked for again is the run of the first time (draft-ietf-httpapi-idempotency-key-header).

What was refused is not remembered: asked for again, it is decided again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import InvalidInput
from app.flows.models import IdempotencyKey
from app.ledger.record import Actor

LIFE = timedelta(hours=24)
_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)


@dataclass(frozen=True)
class Repeatable:
    """The key under which ``asked``, JSON, is remembered for this starter."""

    starter: str
    key: str
    sha256: str

    @classmethod
    def of(cls, by: Actor, key: str, asked: Mapping[str, object]) -> "Repeatable":
        if not _KEY.fullmatch(key):
            raise InvalidInput("idempotency_key: up to 255 visible ASCII characters, without spaces")
        starter = by.name if by.on_behalf_of is None else f"{by.name} for {by.on_behalf_of}"
        told = json.dumps(asked, sort_keys=True)
        return cls(starter, key, hashlib.sha256(told.encode()).hexdigest())

    def recall(self, session: Session, now: datetime) -> int | None:
        """The run's number; ``InvalidInput`` if the key was for something else."""
        found = session.get(IdempotencyKey, (self.starter, self.key))
        if found is None or found.created_at <= now - LIFE:
            return None
        if found.request_sha256 != self.sha256:
            raise InvalidInput("idempotency_key: was used for another request: choose a new one")
        return found.run_id

    def remember(self, session: Session, run_id: int, now: datetime) -> None:
        """In place of an expired one. ``IntegrityError`` if the same was asked at the same moment, and that
        came first.
        """
        session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.starter == self.starter,
                IdempotencyKey.key == self.key,
                IdempotencyKey.created_at <= now - LIFE,
            )
        )
        row = {"starter": self.starter, "key": self.key, "request_sha256": self.sha256, "run_id": run_id}
        session.execute(insert(IdempotencyKey).values(**row, created_at=now))


def forget_old(database: Database, now: datetime) -> None:
    with database.writing_connection() as connection:
        connection.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at <= now - LIFE))
