"""What goes wrong below becomes HTTP once: whose fault it is, and whether to come again."""

import pytest
from flask import Flask, g
from sqlalchemy import text

from app.db import Database
from app.endpoints import problems


@pytest.fixture
def answer(postgresql_url):
    """Of `/oauth/…` and of another path, when a statement with this value was executed."""
    database = Database(postgresql_url)

    def answer(statement, path="/elsewhere", **values):
        app = Flask(__name__)
        problems.register(app)

        @app.before_request
        def name():
            g.request_id = "named"

        @app.get(path)
        def view():
            with database.reading_connection() as connection:
                connection.execute(text(statement), values)

        return app.test_client().get(path)

    yield answer
    database.dispose()


@pytest.mark.parametrize(
    ("statement", "value"),
    [("SELECT CAST(:it AS text)", "a\0"), ("SELECT CAST(:it AS integer)", "x"), ("SELECT 1 / :it", 0)],
)
def test_a_value_that_no_column_holds_is_the_requests_fault(answer, caplog, statement, value):
    refused = answer(statement, "/oauth/token", it=value)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_request")
    assert "named database: DataError" in caplog.text


def test_a_database_that_refuses_is_asked_again_later(answer, caplog):
    refused = answer("SELECT * FROM nowhere")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert "named database: ProgrammingError" in caplog.text


def test_a_signing_key_that_cannot_be_had_is_asked_for_later(world, tmp_path, caplog):
    world.components.keyring._snapshot = None
    (tmp_path / "keys").rename(tmp_path / "away")
    refused = world.ask(scope=world.scope)
    assert (refused.status_code, refused.get_json()["error"]) == (503, "temporarily_unavailable")
    assert refused.headers["Retry-After"] == "2"
    assert "restore it from a backup" in caplog.text
    assert "restore" not in refused.text
