"""The console without a browser: what a page says and does, quickly."""

import re
from dataclasses import dataclass

import pytest
from werkzeug.test import Client, TestResponse

from app.identity import accounts, sessions
from app.identity.csrf import csrf_token
from app.identity.sessions import Browser, Method
from app.secret import Secret
from tests.support.components import World

_HERE = {"Sec-Fetch-Site": "same-origin", "User-Agent": "tests"}


@dataclass
class Visitor:
    """A human who is signed in; `post` sends the session's CSRF token along."""

    client: Client
    secret: Secret

    def get(self, path: str, **more: object) -> TestResponse:
        return self.client.get(f"/console{path}", headers=_HERE, **more)

    def post(self, path: str, data: dict[str, object] | None = None, **more: object) -> TestResponse:
        form = {"csrf_token": csrf_token(self.secret), **(data or {})}
        return self.client.post(f"/console{path}", data=form, headers=_HERE, **more)

    def send(self, path: str, data: dict[str, object], page: str = "") -> TestResponse:
        """The form of `page`, which is `path` unless it is said, as it stands there now."""
        return self.post(path, {"etag": self.etag(page or path), **data})

    def etag(self, page: str) -> str:
        found = re.search(r'name="etag" value="([^"]*)"', self.get(page).text)
        assert found is not None, page
        return found[1]


@dataclass
class ConsoleClients:
    world: World

    def __call__(self, login: str | None = "alice") -> Visitor:
        """Signed in a moment ago, by a link; `None`: nobody is."""
        client = self.world.http.application.test_client()
        if login is None:
            return Visitor(client, Secret(""))
        parts = self.world.components
        with parts.database.writing() as session:
            user = accounts.find_user(session, login)
            browser = Browser(agent="tests", address="127.0.0.1")
            begun = sessions.begin(session, user, method=Method.LINK, browser=browser, now=parts.clock())
        client.set_cookie("countersign", begun.secret.reveal())
        return Visitor(client, begun.secret)


def text_of(answer: TestResponse) -> str:
    """What a reader sees, roughly: without tags, spaces made one."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)).strip()


@pytest.fixture
def visit(world: World) -> ConsoleClients:
    """`visit("alice").get("/keys")`; alice administers nothing unless a test says so."""
    return ConsoleClients(world)
