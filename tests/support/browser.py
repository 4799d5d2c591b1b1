"""Chromium, driven by Playwright: a console as a human meets it, and what must never be seen in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright

from tests.support.require import require
from tests.support.server import Installation, Server
from tests.support.tools import CHROMIUM

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)

PATIENCE = 90_000
"""Milliseconds: what comes at all comes within them, however busy the machine is."""
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Not for longer: while it is there an event loop runs in this thread, and `asyncio.run` cannot."""
    program = require(lambda: CHROMIUM.find("chromium"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET, timeout=PATIENCE)
        yield browser
        browser.close()


@dataclass
class Tabs:
    """Browser windows on one installation; `faults` is what a page of ours never does."""

    installation: Installation
    browser: Browser
    faults: list[str] = field(default_factory=list)

    @contextmanager
    def open(
        self, login: str | None, *, dark: bool = False, width: int = 1280, height: int = 800
    ) -> Iterator[Page]:
        """A window of its own, signed in by a link; `None`: nobody is."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            base_url=self.installation.issuer,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(PATIENCE)
        try:
            page = context.new_page()
            self._watch(page)
            if login is not None:
                page.goto(self.installation.invoke("user", "sign-in-link", login, json=True).data["url"])
                page.get_by_role("button", name="Sign in with this link").click()
                page.wait_for_url(lambda url: "sign-in" not in url)
            yield page
        finally:
            context.close()

    def _watch(self, page: Page) -> None:
        def heard(message: ConsoleMessage) -> None:
            is_answer = message.text.startswith("Failed to load resource")  # watched below
            if message.type in {"error", "warning"} and not is_answer:
                self.faults.append(f"{page.url}: {message.text}")

        def answered(response: Response) -> None:
            """A page may be a refusal; what it loads may not."""
            if response.status >= HTTPStatus.BAD_REQUEST and response.request.resource_type != "document":
                self.faults.append(f"{page.url}: {response.status} of {response.url}")

        def asked(request: Request) -> None:
            parts = urlsplit(request.url)
            if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.installation.issuer:
                self.faults.append(f"{page.url}: asks {request.url}")

        page.on("console", heard)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("request", asked)
        page.on("response", answered)


@pytest.fixture(scope="module")
def served_console(shared_installation: Installation) -> Iterator[Server]:
    """Of a module: alice administers, carol audits, bob is a member; duo acts for bob in acme/webapp."""
    for command in (
        ("user", "create", "alice", "--email", "alice@acme.example", "--admin"),
        ("user", "create", "bob", "--email", "bob@acme.example"),
        ("user", "create", "carol", "--email", "carol@acme.example", "--auditor"),
        ("service-account", "create", "duo"),
        ("project", "create", "acme/webapp"),
        ("member", "add", "acme/webapp", "user:bob", "--role", "maintainer"),
        ("member", "add", "acme/webapp", "service_account:duo", "--role", "developer"),
        ("delegation", "grant", "--user", "bob", "--service-account", "duo"),
    ):
        shared_installation.invoke(*command)
    with shared_installation.serve() as server:
        yield server


@pytest.fixture
def tabs(served_console: Server, shared_installation: Installation, chromium: Browser) -> Iterator[Tabs]:
    """Fails in the end if any page broke the policy, erred, or asked anybody else."""
    tabs = Tabs(shared_installation, chromium)
    yield tabs
    assert not tabs.faults
