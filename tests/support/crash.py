"""A crash at a moment that can be named: a fork of this process kills itself before its n-th step.

A step is a statement, a commit, or a change of a file. `kill -9` is what happens: nothing is tidied up.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from enum import Enum
from itertools import count
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from app.errors import Refusal

_FILE_CHANGES = {"os.rename", "os.remove", "os.link", "os.truncate"}


class End(Enum):
    DONE = 0
    REFUSED = 3
    KILLED = -signal.SIGKILL


def killed_before(step: int, act: Callable[[], object]) -> End:
    """How a fork ended that did this. Nothing that is open here may be used there: `act` opens its own."""
    child = os.fork()
    if child == 0:
        _count_steps(step)
        try:
            act()
            os._exit(End.DONE.value)
        except Refusal:
            os._exit(End.REFUSED.value)
        finally:  # anything else: no End
            traceback.print_exc()
            os._exit(1)
    return End(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _count_steps(limit: int) -> None:
    steps = count(1)

    def step(*_: Any) -> None:
        if next(steps) == limit:
            os.kill(os.getpid(), signal.SIGKILL)

    def file_changes(name: str, _arguments: object) -> None:
        if name in _FILE_CHANGES:
            step()

    event.listen(Engine, "before_cursor_execute", step)
    event.listen(Engine, "commit", step)
    sys.addaudithook(file_changes)
