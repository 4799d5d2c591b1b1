"""Whoever can write to the directory that a server is started in does not run code in it."""

import pytest
import requests

from tests.support.server import Installation


@pytest.mark.slow
def test_nothing_is_imported_from_where_the_server_is_started(tmp_path):
    here = Installation(tmp_path)
    for module in ("app", "granian", "flask", "json", "sitecustomize"):
        (tmp_path / f"{module}.py").write_text(f"open('{module} was imported', 'w'); raise SystemExit\n")
    with here.serve():
        answer = requests.get(f"{here.issuer}/.well-known/openid-configuration", timeout=60)
        assert answer.json()["issuer"] == here.issuer
    assert list(tmp_path.glob("* was imported")) == []
