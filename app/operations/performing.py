"""From who asks and for what to what is done: who may, in which transaction, and what the ledger is told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

from sqlalchemy.orm import Session

from app.db import Database
from app.errors import Denied, NotFound
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import record
from app.operations.call import Asking, Call, Hidden, Refused, held
from app.operations.caller import Caller, Proof
from app.operations.operation import By, Operation
from app.wiring import Components


def perform(
    components: Components, asking: Asking, operation: Operation, arguments: Mapping[str, Any]
) -> Any:
    """A shape, ``Created``, ``Download`` or ``None``, or a typed refusal; ``arguments`` are as the
    operation's models have them. Whoever asks proves it once more in the transaction, where nothing can have
    changed when it commits.
    """
    caller = asking.caller
    try:
        with _transaction(components.database, operation) as session:
            if operation.opens == "writing" and session is not None:
                caller = _admit_again(components, operation, asking, session)
            call = Call(
                components,
                asking,
                caller,
                caller.actor(asking.request_id),
                components.clock(),
                partial(_admit_again, components, operation, asking),
                session,
            )
            answered = operation.handler(call, **arguments)
            assert call.is_checked or not operation.conditional, operation.id  # noqa: S101 - our own mistake
            return answered
    except Denied as denial:
        refuse(components, asking, operation, denial)


def admit(components: Components, asking: Asking, operation: Operation) -> None:
    """Before anything that came with the request is read."""
    try:
        _admit(asking.caller, operation)
    except Denied as denial:
        refuse(components, asking, operation, denial)


def refuse(components: Components, asking: Asking, operation: Operation, denial: Denied) -> NoReturn:
    """Tells the ledger, and whoever asked as much as they may know."""
    caller = asking.caller
    event = caller.actor(asking.request_id).did(
        AuditAction.OPERATION_CALL,
        components.clock(),
        outcome=Outcome.DENIED,
        project=denial.project if isinstance(denial, Refused) else None,
        run=caller.run_id,
        detail={"operation": operation.id, "cause": str(denial)},
        **caller.parties,
    )
    with components.database.writing_connection() as connection:
        record(connection, event)
    if isinstance(denial, Hidden):
        raise NotFound from None
    raise denial


def _admit(caller: Caller, operation: Operation) -> None:
    admitted = {
        By.ANYBODY: True,
        By.PERSON: caller.in_person,
        By.OVERSEER: caller.sees_all,
        By.ADMINISTRATOR: caller.is_admin,
        By.RUN: caller.proof is Proof.RUN_TOKEN,
    }
    if not admitted[operation.by]:
        raise Denied(f"This is for {operation.by.value}.")


def _admit_again(components: Components, operation: Operation, asking: Asking, session: Session) -> Caller:
    found = held(components, session, asking)
    _admit(found, operation)
    return found


@contextmanager
def _transaction(database: Database, operation: Operation) -> Iterator[Session | None]:
    if operation.opens == "nothing":
        yield None
    else:
        with database.reading() if operation.opens == "reading" else database.writing() as session:
            yield session
