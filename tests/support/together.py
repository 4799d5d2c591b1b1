"""Processes that do the same at the same moment, each with the product loaded and nothing opened."""

import multiprocessing
from collections.abc import Callable
from threading import BrokenBarrierError
from typing import Any

_PATIENCE = 120


def together(count: int, do: Callable[..., None], *arguments: Any) -> list[int | None]:
    """The exit codes of `count` processes that all called `do`, a function of some module."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["app.wiring", "tests.support.components"])
    barrier = context.Barrier(count)
    processes = [context.Process(target=_wait_and, args=(barrier, do, arguments)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(_PATIENCE)
    late = [process for process in processes if process.exitcode is None]
    for process in late:
        process.kill()
    return [process.exitcode for process in processes]


def _wait_and(barrier: Any, do: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    try:
        barrier.wait(_PATIENCE)
    except BrokenBarrierError:
        raise SystemExit("the others never came") from None
    do(*arguments)
