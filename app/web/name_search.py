"""Users and service accounts: lists that may be long, and are searched by name."""

from typing import Any
from urllib.parse import urlencode

from flask import request, url_for

from app.web.twins import api_request, command
from app.web.visit import this_visit


def asked() -> dict[str, str]:
    """The query of the API, as the page's address has it."""
    texts = {name: request.args.get(name, "").strip() for name in ("search", "cursor")}
    return {name: text for name, text in texts.items() if text}


def searched(handler: Any, resource: str) -> dict[str, Any]:
    """What a page of such a list shows; ``resource`` as the command line has it: ``user``."""
    found = this_visit().ask(handler, query=asked())
    text = asked().get("search")
    here, cursor = request.endpoint or "", found["next_cursor"]
    query = f"?{urlencode({'search': text})}" if text else ""
    return {
        "items": found["items"],
        "search": text or "",
        "next_href": url_for(here, search=text, cursor=cursor) if cursor else "",
        "first_href": url_for(here, search=text) if "cursor" in asked() else "",
        "shell": command(resource, "list", *(("--search", text) if text else ())),
        "request_of_api": api_request("GET", f"/{resource}s{query}"),
    }
