"""How the execution of a script ended."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals
from typing import Literal

State = Literal["exited", "timed_out", "cancelled", "failed"]


@dataclass(frozen=True)
class Outcome:
    """``failed``: no step started, or the launcher was killed. Only ``exited`` has an exit code."""

    state: State
    exit_code: int | None
    reason: str


CANCELLED = Outcome("cancelled", None, "cancelled; everything the run had started was ended")
TIMED_OUT = Outcome("timed_out", None, "the time limit was reached; everything the run had started was ended")
LOST = Outcome("failed", None, "the run's launcher was killed, and everything the run had started with it")


def outcome_of(report: Mapping[str, object]) -> Outcome:
    """Reads the launcher's report: a ``state``, and the shell's wait ``status`` or why it has none."""
    match report:
        case {"error": str(why)}:
            return Outcome("failed", None, f"no step was started: {why}")
        case {"state": "timed_out"}:
            return TIMED_OUT
        case {"state": "cancelled"}:
            return CANCELLED
        case {"state": "exited", "status": int(status)}:
            return _exited(os.waitstatus_to_exitcode(status))
    return LOST


def _exited(code: int) -> Outcome:
    if code < 0:
        return Outcome("exited", 128 - code, f"the shell was killed by {Signals(-code).name}")
    return Outcome("exited", code, f"the script ended with exit code {code}")
