"""A walk over the console without a browser: each page that a human comes to by what the pages show them."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urldefrag, urlencode, urljoin, urlsplit

import flask
from jinja2 import Environment, Template
from jinja2.meta import find_referenced_templates
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect
from werkzeug.test import Client, TestResponse

from app.clock import system_clock
from app.factory import _console
from app.identity import accounts, sessions
from app.identity.csrf import csrf_token
from app.identity.sessions import Browser, Method
from app.secret import Secret
from app.wiring import Components
from tests.support.console_scene import copy_database, settings_of
from tests.support.server import Installation

NOTHING: Mapping[str, str] = {}
_HEADERS = {"Sec-Fetch-Site": "same-origin", "User-Agent": "the tests' walk"}
_SAID = {"email": "walk@acme.example", "number": "7", "password": "a walk of 7 leagues", "date": "2031-01-01"}
_OF_A_KIND = 3
"""Addresses of one shape that are followed; the ledger alone has hundreds."""


@dataclass
class Form:
    """``fields``: what is sent when nobody fills it in; ``missing``: what somebody would have to say."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it leads that asks only."""
        return f"{self.action}?{urlencode(self.fields)}"


class Page(HTMLParser):
    """What a page holds; ``links`` and ``fragments`` (`hx-get`) are as written in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fragments: list[str] = []
        self.files: list[str] = []
        self.forms: list[Form] = []
        self.ids: list[str] = []
        self.tags: Counter[str] = Counter()
        self.handlers: list[str] = []
        self._form: Form | None = None
        self._inside: list[str] = []
        self._texts: dict[str, str] = {}
        self._select: tuple[str, bool] | None = None
        self.feed(text)

    def text_of(self, tag: str) -> str:
        return " ".join(self._texts.get(tag, "").split())

    @property
    def leads_to(self) -> list[str]:
        return self.links + [form.url for form in self.forms if form.method == "get"]

    @property
    def repeated_ids(self) -> list[str]:
        return [each for each, count in Counter(self.ids).items() if count > 1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.handlers += [name for name in has if name.startswith("on") or name == "style"]
        if "id" in has:
            self.ids.append(has["id"])
        if tag == "a" and "href" in has:
            self.links.append(has["href"])
        if tag in {"script", "link"}:
            self.files.append(has.get("src") or has.get("href", ""))
        if "hx-get" in has:
            self.fragments.append(has["hx-get"])
        if tag in {"title", "h1"}:
            self._inside.append(tag)
        self._in_form(tag, has)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag in self._inside:
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        for tag in self._inside:
            self._texts[tag] = self._texts.get(tag, "") + data

    def _in_form(self, tag: str, has: dict[str, str]) -> None:
        if tag == "form":
            self._form = Form(has.get("method", "get").lower(), has.get("action", ""))
            self.forms.append(self._form)
        form, name = self._form, has.get("name", "")
        if form is None:
            return
        if tag == "input" and name and (has.get("type") not in {"checkbox", "radio"} or "checked" in has):
            form.fields[name] = has.get("value", "")
            if "required" in has and not form.fields[name]:
                form.missing[name] = has.get("data-expected") or _SAID.get(has.get("type", ""), "walk-7")
        elif tag == "textarea" and name:
            form.fields[name] = ""
            form.missing[name] = "{}"
        elif tag == "select":
            self._select = (name, False)
        elif tag == "option" and self._select is not None:
            of, is_chosen = self._select
            if "selected" in has or (not is_chosen and of not in form.fields):
                form.fields[of] = has.get("value", "")
                self._select = (of, "selected" in has)


@dataclass
class Visited:
    """One address that was asked for; ``came_from`` is the page that leads there."""

    url: str
    shape: str
    came_from: str
    answer: TestResponse

    @property
    def endpoint(self) -> str:
        return self.shape.partition("?")[0]

    @property
    def is_page(self) -> bool:
        return self.answer.mimetype == "text/html"

    @cached_property
    def page(self) -> Page:
        return Page(self.answer.text)

    def __str__(self) -> str:
        return f"{self.url} (from {self.came_from})"


@dataclass
class Walk:
    """All that one human can come to from the overview."""

    pages: list[Visited]
    fragments: list[Visited]
    templates: set[str]
    """Below ``pages/``, with all that these include or import."""

    def of_each_kind(self) -> list[str]:
        """An address of each endpoint, the last that was found: of a list, what was there first."""
        return list({each.endpoint: each.url for each in self.pages if each.is_page}.values())


@dataclass
class Walker:
    """The console of an installation in this process, over the same database as its server."""

    installation: Installation

    @cached_property
    def components(self) -> Components:
        return Components(settings_of(self.installation), system_clock)

    @cached_property
    def _app(self) -> flask.Flask:
        return _console(self.components.settings, self.components)

    @cached_property
    def _urls(self) -> MapAdapter:
        return self._app.url_map.bind("localhost")

    def shape_of(self, url: str) -> str:
        """Its endpoint, and the names of what is asked of it."""
        parts = urlsplit(url)
        try:
            endpoint, _ = self._urls.match(parts.path)
        except RequestRedirect as redirect:
            return self.shape_of(redirect.new_url)
        except HTTPException:
            return f"no page: {url}"
        return "?".join([endpoint, *sorted({name for name, value in parse_qsl(parts.query) if value})])

    def client(self, login: str | None) -> tuple[Client, Secret]:
        """Signed in a moment ago, and its session's secret; `None`: nobody is."""
        client = self._app.test_client()
        if login is None:
            return client, Secret("")
        parts, browser = self.components, Browser(agent="walk", address="127.0.0.1")
        with parts.database.writing() as session:
            user = accounts.find_user(session, login)
            begun = sessions.begin(session, user, method=Method.LINK, browser=browser, now=parts.clock())
        client.set_cookie("countersign", begun.secret.reveal())
        return client, begun.secret

    def walk(self, login: str) -> Walk:
        client, _ = self.client(login)
        pages: list[Visited] = []
        fragments: list[Visited] = []
        waiting = deque([("/console/", "the address bar")])
        known, shapes = {"/console/"}, Counter[str]()
        with self.templates_met() as templates:
            while waiting:
                url, came_from = waiting.popleft()
                found = Visited(
                    url,
                    self.shape_of(url),
                    came_from,
                    client.get(url, headers=_HEADERS, follow_redirects=True),
                )
                pages.append(found)
                for each in _local(found, found.page.leads_to) if found.is_page else ():
                    shapes[self.shape_of(each)] += each not in known
                    if each not in known and shapes[self.shape_of(each)] <= _OF_A_KIND:
                        known.add(each)
                        waiting.append((each, url))
                for each in _local(found, found.page.fragments) if found.is_page else ():
                    shapes["#" + self.shape_of(each)] += 1
                    if shapes["#" + self.shape_of(each)] <= _OF_A_KIND:
                        headers = _HEADERS | {"HX-Request": "true"}
                        fragments.append(
                            Visited(each, self.shape_of(each), url, client.get(each, headers=headers))
                        )
        return Walk(pages, fragments, templates)

    def forms(self, login: str) -> list[Form]:
        """What they can change something with, one of each kind."""
        pages = [each.page for each in self.walk(login).pages if each.is_page]
        posts = [form for page in pages for form in page.forms if form.method == "post"]
        return list({(self.shape_of(form.action), *sorted(form.fields)): form for form in posts}.values())

    def send(
        self, login: str, form: Form, said: Mapping[str, str] = NOTHING, *, token: bool = True
    ) -> TestResponse:
        """By somebody who signed in a moment ago, and as if no other form had been sent before."""
        self._reset()
        client, secret = self.client(login)
        data = {**form.fields, **said, "csrf_token": csrf_token(secret)}
        if not token:
            del data["csrf_token"]
        return client.post(form.action, data=data, headers=_HEADERS, follow_redirects=True)

    @contextmanager
    def templates_met(self) -> Iterator[set[str]]:
        """Filled with what is rendered meanwhile, and in the end with what that refers to."""
        met: set[str] = set()

        def note(_: flask.Flask, template: Template, **__: object) -> None:
            met.add(template.name or "")

        with flask.template_rendered.connected_to(note):
            yield met
        met |= _referenced(self._app.jinja_env, met)

    def _reset(self) -> None:
        """The database as it was when the first form was sent."""
        self.components.database.dispose()  # a connection has its own chain in the ledger
        database = self.components.settings.home_dir / "countersign.sqlite3"
        kept = database.with_suffix(".kept")
        copy_database(*((kept, database) if kept.exists() else (database, kept)))


def _referenced(environment: Environment, names: set[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        source, _, _ = environment.loader.get_source(environment, waiting.pop())  # type: ignore[union-attr]
        fresh = {name for name in find_referenced_templates(environment.parse(source)) if name} - found
        found |= fresh
        waiting += fresh
    return found


def _local(found: Visited, links: list[str]) -> Iterator[str]:
    """Absolute paths within the console; what leads out is not ours to follow."""
    for link in links:
        url, _ = urldefrag(urljoin(found.url, link))
        if url.startswith("/console"):
            yield url
