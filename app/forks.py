"""What a forked process must not share with its parent: connections, and locks that some thread held."""

import os
import weakref
from collections.abc import Callable
from typing import TypeVar

Owner = TypeVar("Owner")


def renewed_in_children(owner: Owner, renew: Callable[[Owner], None]) -> None:
    """``renew(owner)`` is the first thing that every child does that is forked while ``owner`` lives."""
    found = weakref.ref(owner)

    def in_child() -> None:
        if (alive := found()) is not None:
            renew(alive)

    os.register_at_fork(after_in_child=in_child)
