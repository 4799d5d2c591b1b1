"""What to type for the same as a form does: a command, or a request of the API."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from app.web.visit import this_visit


def command(*words: str | int) -> str:
    """Quoted, whatever stands in a value: it is copied into a shell."""
    return shlex.join(("countersign", *map(str, words)))


def api_request(method: str, path: str, body: Mapping[str, Any] | None = None) -> str:
    """``path`` below ``/api/v1``, percent-encoded already."""
    line = f"{method} {this_visit().components.settings.issuer}/api/v1{path}"
    return line if body is None else f"{line}\nContent-Type: application/json\n\n{json.dumps(body)}"
