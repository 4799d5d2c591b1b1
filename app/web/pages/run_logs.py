"""The log of a run: its tail first, what was before on demand, and what comes, a piece a second."""

from typing import Any

from flask import request

from app.operations import logs
from app.operations import runs as operations
from app.web.console import Answer, ask_or_none, console, download, page
from app.web.terminal import Piece, whole_lines
from app.web.visit import this_visit

PIECE = 64 * 1024
"""Bytes that are shown at once."""


def opening(run: dict[str, Any]) -> dict[str, Any]:
    """What the page of a run shows first: the end, or what stands ``at`` an offset that was searched for."""
    head = ask_or_none(logs.get_run_log, query={"limit": "16"}, id=run["id"])
    if head is None:
        return {"log": None}
    at = request.args.get("at", type=int)
    start = max(0, head["size"] - PIECE) if at is None else min(max(0, at), head["size"])
    size = head["size"] if at is None else min(head["size"], start + PIECE)
    lines = whole_lines(_bytes(run["id"], start, size), start, is_first=at is not None or start == 0)
    return {
        "log": lines,
        "size": head["size"],
        "is_end": lines.end >= head["size"],
        "is_over": head["complete"] or (lines.end >= head["size"] and _is_over(run)),
    }


@console.get("/runs/<int:number>/log")
def runs_log(number: int) -> Answer:
    """What comes after ``offset``; asked once a second while the run goes on, else by hand."""
    offset = request.args.get("offset", 0, type=int)
    piece = this_visit().ask(
        logs.get_run_log, query={"offset": str(offset), "limit": str(4 * PIECE)}, id=number
    )
    text, end = piece["log"], piece["next_offset"]
    return page(
        "runs/log_after.html",
        number=number,
        log=Piece.of(text, offset, end, colour=request.args.get("colour", "")),
        is_end=end >= piece["size"],
        is_over=piece["complete"],
        follows=request.args.get("follows") == "1",
    )


@console.get("/runs/<int:number>/log/before")
def runs_log_before(number: int) -> Answer:
    end = max(0, request.args.get("offset", 0, type=int))
    start = max(0, end - 4 * PIECE)
    lines = whole_lines(_bytes(number, start, end), start, is_first=start == 0)
    return page("runs/log_before.html", number=number, log=lines)


@console.get("/runs/<int:number>/log/search")
def runs_log_search(number: int) -> Answer:
    text = request.args.get("text", "")
    query = {"text": text, "offset": request.args.get("offset", "0"), "limit": "50"}
    outcome = this_visit().attempt(logs.search_run_log, query=query, id=number) if text else None
    return page(
        "runs/search.html",
        run=this_visit().ask(operations.get_run, id=number),
        text=text,
        found=_readable(outcome.answer) if outcome and outcome.answer else None,
        refusal=outcome.refusal if outcome else None,
    )


@console.get("/runs/<int:number>/log/raw")
def runs_log_raw(number: int) -> Answer:
    return download(this_visit().ask(logs.download_run_log, id=number), "text/plain")


def _readable(found: dict[str, Any]) -> dict[str, Any]:
    lines = [{**each, "line": Piece.of(each["line"], 0, 0).text} for each in found["found"]]
    return {**found, "found": lines}


def _bytes(number: int, start: int, end: int) -> bytes:
    """Asked for even where there are none: whoever may not read it is refused."""
    query = {"offset": str(start), "limit": str(max(1, end - start))}
    content: bytes = this_visit().ask(logs.download_run_log, query=query, id=number).content
    return content[: end - start]


def _is_over(run: dict[str, Any]) -> bool:
    return run["ended_at"] is not None
