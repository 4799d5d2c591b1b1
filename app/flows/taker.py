"""Takes runs from the queue and carries them out, each in a thread, so many at once.

Threads, for what a run does is waiting: for its steps, for Vault, for the database; and what this process
has warm lets it begin at once. Whatever they have started dies with this process.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from app.errors import Refusal
from app.flows.execution import Executions
from app.flows.queue import Begun
from app.flows.runs import WORKER

_LOOK_EVERY_SECONDS = 0.5
_GRACE_SECONDS = 20.0
"""For runs to end in order once the process is told to; the supervisor waits a little longer."""
_STOPPED = "the server was stopped while it ran; everything the run had started was ended"
_STARTED = Counter("countersign_runs_started", "Runs that worker processes have begun.")
_FINISHED = Counter("countersign_runs_finished", "Runs that worker processes have carried out.", ["state"])
_log = logging.getLogger(__name__)


class Taker:
    def __init__(self, executions: Callable[[], Executions], at_once: int) -> None:
        """``executions`` is asked first when a run is there, for to make them takes a moment."""
        self._executions = executions
        self._free = threading.Semaphore(at_once)
        self._at_once = at_once
        self._under_way: set[Future[None]] = set()
        self._stop = threading.Event()
        self._taker: Future[None] | None = None

    @property
    def is_taking(self) -> bool:
        """False too when it has failed for good."""
        return self._taker is not None and not self._taker.done()

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Takes runs meanwhile; leaving ends those under way, and waits for that, but not for ever."""
        threads = ThreadPoolExecutor(self._at_once + 1, "runs")
        self._taker = threads.submit(self._take_runs, threads)
        try:
            yield
        finally:
            self._stop.set()
            wait({self._taker}, _GRACE_SECONDS)
            _, late = wait(self._under_way, _GRACE_SECONDS)
            threads.shutdown(wait=False)
            if late:
                _log.error("%d runs did not end in time: the next worker tells of their end", len(late))

    def _take_runs(self, threads: ThreadPoolExecutor) -> None:
        answers = True
        while not self._stop.is_set():
            if not self._free.acquire(timeout=_LOOK_EVERY_SECONDS):
                continue
            try:
                begun = self._next()
                answers = True
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may find it gone
                if answers:
                    _log.error("no run is taken: %s", type(error).__name__, exc_info=_unless_known(error))
                begun, answers = None, False
            if begun is None:
                self._free.release()
                self._stop.wait(_LOOK_EVERY_SECONDS)
            else:
                self._submit(threads, begun)

    def _submit(self, threads: ThreadPoolExecutor, begun: Begun) -> None:
        try:
            run = threads.submit(self._carry_out, begun)
        except Exception as error:  # noqa: BLE001 - no thread can be had, and runs go on all the same
            self._free.release()
            _log.error("run %d has begun and no thread carries it out", begun.run_id, exc_info=error)
            with suppress(Exception):  # then who keeps house ends it
                self._executions().give_up(begun, WORKER)
            return
        self._under_way.add(run)
        run.add_done_callback(self._ended)

    def _next(self) -> Begun | None:
        executions = self._executions()
        return executions.queue.take(WORKER) if executions.queue.has_some() else None

    def _carry_out(self, begun: Begun) -> None:
        _STARTED.inc()
        state = self._executions().carry_out(begun, lambda _: None, WORKER, self._why_stop)
        _FINISHED.labels(state.value).inc()

    def _why_stop(self) -> str | None:
        return _STOPPED if self._stop.is_set() else None

    def _ended(self, run: Future[None]) -> None:
        self._under_way.discard(run)
        self._free.release()
        if (error := run.exception()) is not None:
            _log.error("a run has not ended in order", exc_info=error)


def _unless_known(error: Exception) -> Exception | None:
    """What needs no trace, for it is no fault of ours."""
    return None if isinstance(error, Refusal | SQLAlchemyError | OSError) else error
