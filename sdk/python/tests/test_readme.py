"""The README's programs run as they stand."""

import asyncio
import re
from pathlib import Path

import pytest
from countersign_sdk.asgi import Guard

README = (Path(__file__).parents[1] / "README.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(params=PROGRAMS, ids=["flask", "asgi"])
def app(request, monkeypatch):
    settings = {"ISSUER": "http://127.0.0.1:9", "CLIENT_ID": "sa_9", "CLIENT_SECRET": "none"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    program = {"__name__": "readme"}
    exec(compile(request.param, "README.md", "exec"), program)  # noqa: S102 - our own page
    return program["app"]


def status(app, authorization):
    """Of a request to write a file."""
    path, sent = "/projects/acme/webapp/files/a", []
    if not isinstance(app, Guard):
        return app.test_client().put(path, headers={"Authorization": authorization}).status_code

    async def send(message):
        sent.append(message)

    headers = [(b"authorization", authorization.encode())]
    asyncio.run(app({"type": "http", "method": "PUT", "path": path, "headers": headers}, None, send))
    return sent[0]["status"]


def test_a_program_of_the_readme_guards(app):
    assert status(app, "") == 401
    assert status(app, "Bearer nonsense") == 401
