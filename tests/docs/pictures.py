"""The console's pictures in the docs: `python -m tests.docs.pictures`.

Of the full scene at one fixed moment, so that they change with the console and not with the day. Key ids are
random, and text is drawn in what fonts there are: the committed pictures have Liberation Sans and DejaVu Sans
Mono (Debian: fonts-liberation, fonts-dejavu-core).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from app.factory import create_app
from app.identity import accounts, sessions
from app.settings import Settings
from app.wiring import Components
from tests.docs.palette import with_palette
from tests.support.browser import QUIET
from tests.support.components import ISSUER, ManualClock
from tests.support.console_scene import PROJECT, fill
from tests.support.tools import CHROMIUM, ROOT

FOLDER = ROOT / "docs/pictures"
AT = datetime(2026, 11, 22, 14, 20, tzinfo=UTC)
SIZE = {"width": 1280, "height": 800}


@dataclass(frozen=True)
class Picture:
    name: str
    path: str
    login: str = "alice"


PICTURES = (
    Picture("overview", "/console/"),
    Picture("signing-keys", "/console/keys"),
    Picture("who-may-act-for-me", "/console/who-may-act-for-me", "bob"),
    Picture("service-account", "/console/service-accounts/duo"),
    Picture(
        "intersection",
        f"/console/projects/{PROJECT}/-/intersection?user=dave&service_account=duo&action=code.write",
    ),
    Picture("run", "/console/runs/4"),
    Picture("kill-switch", "/console/delegations/4/kill", "bob"),
    Picture("inspector", "/console/inspector"),
    Picture("audit", "/console/audit"),
)


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with (
        TemporaryDirectory(prefix="countersign-pictures-") as folder,
        _served(Path(folder)) as (components, port),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM.find("chromium"),
            args=[*QUIET, f"--host-resolver-rules=MAP localhost:8000 127.0.0.1:{port}"],
        )
        cookies = {
            login: _signed_in(components, login) for login in sorted({each.login for each in PICTURES})
        }
        for picture, theme in product(PICTURES, ("light", "dark")):
            _take(picture, theme, browser, cookies[picture.login])
        browser.close()
    return 0


def _take(picture: Picture, theme: str, browser: Browser, cookie: str) -> None:
    context = browser.new_context(viewport=SIZE, color_scheme=theme, base_url=ISSUER, reduced_motion="reduce")
    context.add_cookies([{"name": "countersign", "value": cookie, "url": ISSUER}])
    page = context.new_page()
    page.clock.set_fixed_time(AT)
    page.goto(picture.path, wait_until="networkidle")
    png = page.screenshot(animations="disabled", caret="hide")
    file = FOLDER / f"{picture.name}-{theme}.png"
    file.write_bytes(with_palette(png, context.new_page()))
    context.close()


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def _served(folder: Path) -> Iterator[tuple[Components, int]]:
    """Within this process, whose clock stands still; on a port of its own, behind the usual issuer."""
    settings = Settings.from_env(
        {
            "COUNTERSIGN_ISSUER": ISSUER,
            "COUNTERSIGN_HOME_DIR": str(folder / "var"),
            "COUNTERSIGN_KEYS_DIR": str(folder / "keys"),
        }
    )
    fill(settings, AT, strange="OPS-1412")
    app = create_app(settings, ManualClock(AT))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield app.extensions["countersign"], server.port
    finally:
        server.shutdown()
        thread.join()


def _signed_in(components: Components, login: str) -> str:
    browser = sessions.Browser(agent="Mozilla/5.0 Firefox/140.0", address="192.0.2.77")
    with components.database.writing() as session:
        user = accounts.find_user(session, login)
        begun = sessions.begin(session, user, method=sessions.Method.PASSWORD, browser=browser, now=AT)
    return begun.secret.reveal()


if __name__ == "__main__":
    sys.exit(main())
