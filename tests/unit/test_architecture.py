"""Lower never imports higher, and the other rules of docs/architecture.md that a syntax tree can show."""

from pathlib import Path

import pytest

from tests.support.architecture import EXCEPTIONS, LEVEL_OF, NAMELESS, faults
from tests.support.tools import ROOT


def modules(folder: str) -> list[tuple[str, Path]]:
    """(`app.signing.keyring`, its file) for each module below `folder`; a package is named for its folder."""
    files = sorted((ROOT / folder).rglob("*.py"))
    return [(".".join(file.relative_to(ROOT).with_suffix("").parts), file) for file in files]


APP = modules("app")


def check(name: str, file: Path) -> list[str]:
    return faults(name.removesuffix(".__init__"), file.read_text(), package=file.name == "__init__.py")


@pytest.mark.parametrize(("name", "file"), [*APP, *modules("sdk")], ids=lambda value: str(value)[:60])
def test_a_module_keeps_the_rules(name, file):
    assert check(name, file) == []


def test_every_room_has_a_level():
    rooms = {name.split(".")[1] for name, _ in APP} - {"__init__"}
    assert rooms <= LEVEL_OF.keys()


@pytest.mark.parametrize("folder", ["app", "sdk", "tests", "bench", "migrations"])
def test_no_module_has_a_name_that_says_nothing(folder):
    assert [name for name, _ in modules(folder) if NAMELESS.intersection(name.split("."))] == []


def test_an_exception_is_explained_and_needed():
    sources = dict(APP)
    for (module, name), reason in EXCEPTIONS.items():
        assert reason
        assert name.rpartition(".")[2] in sources[module].read_text()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("app.identity.users", "from app.signing import keyring"),
        ("app.identity.users", "from app import tokens"),
        ("app.identity.users", "import app.tokens.issuer"),
        ("app.identity.users", "import app.tokens.issuer as issuer"),
        ("app.identity.users", "from ..tokens import issuer"),
        ("app.identity.users", "from .. import tokens"),
        ("app.identity.users", "def late():\n    from app.tokens import issuer"),
        ("app.identity.users", "if TYPE_CHECKING:\n    from app.tokens import issuer"),
        ("app.identity.users", "importlib.import_module('app.tokens.issuer')"),
        ("app.identity.users", "__import__('app.tokens')"),
        ("app.identity.users", "from app.settings import Settings"),
        ("app.tokens.issuer", "from app.settings import Settings"),
        ("app.flows.start", "from app.trust import vault"),
        ("app.flows.start", "from app.settings import Settings"),
        ("app.trust.vault", "from app.flows import start"),
        ("app.web.pages", "from app.cli import main"),
        ("app.doctor", "from app.endpoints import health"),
        ("app.db", "from app.identity import users"),
        ("app.clock", "from app.db import engine"),
        ("app.protocol.scopes", "import sqlalchemy"),
        ("app.clock", "from app.newcomer import thing"),
        ("app.newcomer", ""),
        ("app", "from app.clock import system_clock"),
        ("app.clock", "import app"),
        ("app.tokens.issuer", "import flask"),
        ("app.tokens.issuer", "from flask import request"),
        ("app.identity.sessions", "from flask_login import current_user"),
        ("app.tokens.grants", "from authlib.integrations.flask_oauth2 import AuthorizationServer"),
        ("app.factory", "from authlib.jose import jwt"),
        ("app.factory", "from authlib import jose"),
        ("app.factory", "import os\nos.environ['X']"),
        ("app.factory", "import os\nos.environ.get('X')"),
        ("app.factory", "import os as system\nsystem.getenv('X')"),
        ("app.factory", "from os import environ"),
        ("app.factory", "from os import getenv as ask\nask('X')"),
        ("app.factory", "from datetime import datetime\ndatetime.now()"),
        ("app.factory", "from datetime import datetime as when\nwhen.utcnow()"),
        ("app.factory", "import datetime as dt\ndt.datetime.now(dt.UTC)"),
        ("app.factory", "import datetime\nstamp = datetime.datetime.now"),
        ("app.factory", "from datetime import date\ndate.today()"),
        ("app.factory", "import time\ntime.time()"),
        ("app.factory", "from time import time"),
        ("app.signing.utils", ""),
        ("app.web.helpers.forms", ""),
        ("app.identity.manager", ""),
        ("sdk.python.countersign_sdk.flask", "from app.protocol import scopes"),
    ],
)
def test_a_breach_is_seen(module, source):
    assert faults(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("app.tokens.issuer", "from app.signing import signer\nfrom app.identity.policy import decide"),
        (
            "app.tokens.issuer",
            "from . import grants\nfrom .audiences import Audience\nimport app.tokens",
        ),
        ("app.ledger.chain", "from app.db import engine\nfrom app.clock import Clock"),
        (
            "app.tokens.authorization_server",
            "from authlib.integrations.flask_oauth2 import AuthorizationServer",
        ),
        ("app.wiring", "import flask\nfrom app.settings import Settings"),
        ("app.factory", "from app.web import pages\nfrom app.wiring import Components"),
        ("app.settings", "import os\nos.environ.get('COUNTERSIGN_ISSUER')"),
        ("app.clock", "from datetime import UTC, datetime\ndatetime.now(UTC)"),
        ("app.worker", "import time\ntime.monotonic()\ntime.perf_counter()"),
        ("app.flows.start", "def environ(now):\n    return now.time()"),
        ("app.identity.users", "from sqlalchemy import func\nfunc.now()"),
        ("sdk.python.countersign_sdk.flask", "import flask"),
    ],
)
def test_what_is_allowed_passes(module, source):
    assert faults(module, source) == []


def test_a_package_resolves_its_relative_imports_from_itself():
    assert faults("app.identity", "from .users import User", package=True) == []
    assert faults("app.identity", "from ..tokens import issuer", package=True)
