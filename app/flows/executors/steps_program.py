"""``countersign`` inside a run: ``countersign id-token NAME``, with nothing but the run's environment.

Each run has a copy of this file, for the steps' account need not be able to read Countersign's own; it may be
run by an older Python of the machine. Standard library only, and never app. The run token is never an
argument, and goes to the issuer's address alone: neither a redirect nor a proxy is followed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import closing
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NEEDED = ("COUNTERSIGN_ISSUER", "COUNTERSIGN_RUN_ID", "COUNTERSIGN_RUN_TOKEN")
_ATTEMPT_SECONDS = 10.0
_TRY_SECONDS = 30.0
"""For so long what is unavailable is asked again."""
_SHORTEST_PAUSE = 0.1
_LARGEST_ANSWER = 1024 * 1024
_LATER = {429, 502, 503, 504}


class Refused(Exception):  # noqa: N818 - an answer
    """In words for stderr."""


def fresh_token(name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The API's answer: ``name``, ``token`` and ``expires_at``; ``Refused`` says why there is none."""
    request = _request(name, environment)
    opener = build_opener(ProxyHandler({}), _NoRedirects)
    until = time.monotonic() + _TRY_SECONDS
    while True:
        answer, pause = _ask(opener, request)
        if isinstance(answer, dict):
            return answer
        if pause is None or time.monotonic() + pause > until:
            raise Refused(answer)
        time.sleep(pause)


def _request(name: str, environment: Mapping[str, str]) -> Request:
    missing = [each for each in NEEDED if not environment.get(each)]
    if missing:
        raise Refused(f"{', '.join(missing)}: not set; this command works inside a run alone")
    issuer, run_id, token = (environment[each] for each in NEEDED)
    if not issuer.startswith(("https://", "http://")) or not run_id.isdecimal() or not token.isascii():
        raise Refused(f"{', '.join(NEEDED)}: not as a run has them")
    return Request(  # noqa: S310 - https or http, as was just seen
        f"{issuer}/api/v1/runs/{run_id}/id_tokens",
        json.dumps({"name": name}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )


def _ask(opener: OpenerDirector, request: Request) -> tuple[dict[str, Any] | str, float | None]:
    """The answer; or why there is none, and in how many seconds it may be tried again, if ever."""
    try:
        with opener.open(request, timeout=_ATTEMPT_SECONDS) as response:
            found = json.loads(response.read(_LARGEST_ANSWER))
            if isinstance(found, dict) and isinstance(found.get("token"), str):
                return found, None
    except HTTPError as error:
        with closing(error):
            return _told(error), _pause(error) if error.code in _LATER else None
    except ValueError:  # neither JSON nor text
        pass
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        return f"the issuer does not answer: {reason}", 1.0
    return "the issuer's address gives an answer that is not the issuer's", None


def _told(error: HTTPError) -> str:
    """The problem's own words (RFC 9457), without what could steer a terminal."""
    try:
        found = json.loads(error.read(_LARGEST_ANSWER))
        text = str(found.get("detail") or found["title"])
    except (ValueError, LookupError, AttributeError, OSError, HTTPException):
        text = f"HTTP status {error.code}"
    return "".join(each if each.isprintable() else " " for each in text[:1000])


def _pause(error: HTTPError) -> float:
    given = error.headers.get("Retry-After", "")
    return max(float(given), _SHORTEST_PAUSE) if given.isdecimal() else 1.0


class _NoRedirects(HTTPRedirectHandler):
    """What is not answered by the issuer itself is refused: the bearer goes nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.format_usage()}countersign: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _Parser(prog="countersign", description="Inside a run there is this command alone.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="id-token")
    about = "Print a fresh one of the run's declared ID tokens."
    command = commands.add_parser("id-token", help=about, description=about)
    command.add_argument("name", metavar="NAME", help="as in agent-config.yml, such as VAULT_ID_TOKEN")
    command.add_argument("--json", action="store_true", help="one object: name, token, expires_at")
    given = parser.parse_args(arguments)
    try:
        found = fresh_token(given.name, os.environ)
    except Refused as refusal:
        print(f"countersign: {refusal}", file=sys.stderr)  # noqa: T201 - the command's answer
        return 1
    print(json.dumps(found) if given.json else found["token"])  # noqa: T201 - likewise
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
