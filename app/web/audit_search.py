"""What the ledger is searched for: as the page's address has it, the API's query, and the command line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import url_for

from app.operations.audit_events import AuditFilter
from app.web.twins import api_request, command

_NAMES = tuple(AuditFilter.model_fields)
_SELDOM = ("actor", "run", "jti", "request_id", "action", "since", "until")
_TIMES = ("since", "until")
_OF_AN_INPUT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?", re.ASCII)


@dataclass(frozen=True)
class AuditSearch:
    """``given``: the texts of the form, by the names of the API's query; none is empty."""

    given: Mapping[str, str]

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "AuditSearch":
        texts = {name: arguments.get(name, "").strip() for name in _NAMES}
        return cls({name: text for name, text in texts.items() if text})

    @property
    def asked(self) -> dict[str, str]:
        """In the API's words; times of an ``<input type="datetime-local">`` are of UTC."""
        return {name: _moment(text) if name in _TIMES else text for name, text in self.given.items()}

    @property
    def is_of_seldom(self) -> bool:
        """Whether any filter is given that the form keeps folded."""
        return any(name in self.given for name in _SELDOM)

    def field(self, name: str) -> str:
        """The text for the form, which takes a time without its zone."""
        text = self.given.get(name, "")
        return text.removesuffix("Z") if name in _TIMES else text

    def page(self, cursor: str = "") -> str:
        return _with(url_for("console.audit"), {**self.given, **({"cursor": cursor} if cursor else {})})

    def export(self, ending: str) -> str:
        return _with(url_for("console.audit_export", ending=ending), self.given)

    def command(self, *words: str) -> str:
        """``countersign audit list`` or ``export``, with the same filters."""
        options = (
            part for name, text in self.asked.items() for part in (f"--{name.replace('_', '-')}", text)
        )
        return command("audit", *words, *options)

    def request(self, path: str = "/audit-events") -> str:
        return api_request("GET", _with(path, self.asked))


def _with(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _moment(text: str) -> str:
    if not _OF_AN_INPUT.fullmatch(text):
        return text
    return f"{text}Z" if text.count(":") > 1 else f"{text}:00Z"
