"""Logs of runs: a piece by its offset, the lines that have a text in them, and the whole to keep."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import Field

from app.errors import NotFound
from app.flows import log
from app.flows.models import Run
from app.flows.runs import ENDED
from app.operations.call import Call, Download
from app.operations.operation import By, Resource
from app.operations.problem import Problem
from app.operations.runs import visible_run
from app.operations.schemas import Input, Number, Output
from app.representation import Shape

logs = Resource("Logs")
_SEARCHED_AT_ONCE = 4 * 1024 * 1024
"""Bytes: while one request searches, its web worker answers no other."""
_LARGEST_PIECE = 1024 * 1024

Offset = Annotated[int, Field(ge=0, le=2**63 - 1, description="Bytes from the beginning.", examples=[0])]


class LogPiece(Input):
    offset: Offset = 0
    limit: Annotated[int, Field(ge=16, le=_LARGEST_PIECE, description="Bytes.", examples=[65536])] = 262_144


class RawLog(Input):
    offset: Offset = 0
    limit: Annotated[
        int, Field(ge=1, le=2**63 - 1, description="Bytes; all of it unless given.", examples=[10_000_000])
    ] = 2**63 - 1


class LogAnswer(Output):
    id: int
    offset: int
    log: str
    next_offset: Annotated[int, Field(description="Ask with it for what comes then.")]
    size: Annotated[int, Field(description="Bytes that are stored so far.")]
    complete: Annotated[bool, Field(description="The run has ended, and this is the end of its log.")]


class LogSearch(Input):
    text: Annotated[
        str,
        Field(
            min_length=1,
            max_length=500,
            description="Looked for in each line, whatever the case of ASCII letters.",
            examples=["error"],
        ),
    ]
    offset: Offset = 0
    limit: Annotated[int, Field(ge=1, le=200, description="Lines.", examples=[50])] = 50


class FoundLine(Output):
    offset: Annotated[int, Field(description="Of its first byte.")]
    line: str


class FoundAnswer(Output):
    id: int
    found: list[FoundLine]
    next_offset: Annotated[int | None, Field(description="Where to go on; `null` at the log's present end.")]


@logs.operation("GET", "/runs/{id}/log", by=By.ANYBODY, answer=LogAnswer, problems=(410,))
def get_run_log(call: Call, id: Number, query: LogPiece) -> Shape:
    """Get a piece of a run's masked log. Needs `run.read` in its project."""
    run = visible_run(call, id, "run.read")
    with _gone(run):
        piece = log.read_from(call.session, id, query.offset, query.limit)
    size = log.size(call.session, id)
    complete = run.state in ENDED and query.offset + len(piece) >= size
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(piece, final=complete)
    end = query.offset + len(piece) - len(decoder.getstate()[0])  # a character that is cut off comes whole
    said = {"id": id, "offset": query.offset, "log": text, "next_offset": end}
    return said | {"size": size, "complete": complete}


@logs.operation("GET", "/runs/{id}/log/search", by=By.ANYBODY, answer=FoundAnswer, problems=(410,))
def search_run_log(call: Call, id: Number, query: LogSearch) -> Shape:
    """Find lines in a run's log: of 4 MiB at most at once. Needs `run.read` in its project."""
    database = call.components.database
    with _gone(visible_run(call, id, "run.read")):
        found, following = log.search_some(
            database, id, query.text, query.offset, most=query.limit, within=_SEARCHED_AT_ONCE
        )
    lines = [{"offset": each.offset, "line": each.line.decode(errors="replace")} for each in found]
    return {"id": id, "found": lines, "next_offset": following}


@logs.operation("GET", "/runs/{id}/log/raw", by=By.ANYBODY, gives="text/plain", problems=(410,))
def download_run_log(call: Call, id: Number, query: RawLog) -> Download:
    """Download a run's whole log, as it is stored. Needs `run.read` in its project."""
    with _gone(visible_run(call, id, "run.read")):
        content = b"".join(log.stream(call.components.database, id, query.offset, query.limit))
    return Download(content, f"run-{id}.log")


@contextmanager
def _gone(run: Run) -> Iterator[None]:
    """The run is there, its log is not any more (RFC 9110 §15.5.11)."""
    try:
        yield
    except NotFound as removed:
        if run.log_removed_at is None:
            raise
        raise Problem(410, "Gone", f"{removed}.") from None
