"""A ledger that cannot be written: nothing is issued, nothing is started, nothing is changed."""

import pytest
from sqlalchemy import select, text

from app.db import Base
from app.factory import create_app
from app.settings import Settings
from tests.support import sample_flow
from tests.support.components import basic, on_every_database
from tests.support.sample_flow import FLOW, PROJECT

pytestmark = pytest.mark.slow

REFUSE = {
    "sqlite": """CREATE TRIGGER refuse BEFORE INSERT ON audit_events WHEN NEW.action LIKE '{actions}'
                 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END""",
    "postgresql": """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$;
                     CREATE TRIGGER refuse BEFORE INSERT ON audit_events FOR EACH ROW
                     WHEN (NEW.action LIKE '{actions}') EXECUTE FUNCTION refuse()""",
}
SECRET = ("service-account", "secret", "create", "duo")
COMMANDS = [
    ("token", "issue", "--service-account", "duo", "--user", "alice", "--scope", "api"),
    ("flow", "start", FLOW, "--project", PROJECT, "--user", "alice", "--service-account", "duo"),
    SECRET,
    ("service-account", "secret", "revoke", "duo", "1"),
    ("user", "token", "create", "alice", "--scope", "api"),
    ("user", "create", "carol", "--email", "carol@acme.example"),
    ("user", "disable", "alice"),
    ("service-account", "create", "robot", "--not-composite"),
    ("service-account", "disable", "duo"),
    ("delegation", "grant", "--user", "alice", "--service-account", "duo"),
    ("delegation", "revoke", "1"),
    ("member", "add", PROJECT, "user:alice", "--role", "owner"),
    ("member", "remove", PROJECT, "user:alice"),
    ("project", "create", "acme/other"),
    ("project", "rename", PROJECT, "acme/other"),
    ("project", "delete", PROJECT),
    ("audience", "add", "https://api.acme.example", "--kind", "api"),
    ("kill", "--user", "alice", "--reason", "a test"),
    ("kill", "--service-account", "duo", "--reason", "a test"),
    ("kill", "--delegation", "1", "--reason", "a test"),
]


@pytest.fixture
def flow(tmp_path, backend, request):
    settings = {} if backend == "sqlite" else {"DATABASE_URL": request.getfixturevalue("postgresql_url")}
    flow = sample_flow.make(tmp_path, **settings)
    flow.configure_flow('touch "$OUT/ran"')
    return flow


@pytest.fixture
def database(flow):
    app = create_app(Settings.from_env(flow.installation.environment))
    yield app.extensions["countersign"].database
    app.extensions["countersign"].database.dispose()


def content(database):
    """All that there is; a writer of the ledger is nothing by itself."""
    with database.reading_connection() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
            if table.name != "ledger_writers"
        }


def refuse(database, backend, actions):
    with database.writing_connection() as connection:
        connection.execute(text(REFUSE[backend].format(actions=actions)))


@on_every_database
def test_no_command_changes_anything(flow, database, backend):
    flow.cli(*SECRET)
    refuse(database, backend, "%")
    before = content(database)
    for words in COMMANDS:
        refused = flow.cli(*words, exit_code=1, json=True)
        assert refused.stdout == "", words
        assert content(database) == before, words
    assert not (flow.out / "ran").exists()


@on_every_database
def test_no_request_is_granted(flow, database, backend):
    secret = flow.cli(*SECRET, json=True).data
    words = ("user", "token", "create", "alice", "--scope", "api")
    person = flow.cli(*words, json=True).data["token"]
    http = create_app(Settings.from_env(flow.installation.environment)).test_client()
    client = {"Authorization": basic(secret["client_id"], secret["client_secret"])}
    form = {"grant_type": "client_credentials", "scope": "api user:1"}
    token = http.post("/oauth/token", data=form, headers=client).get_json()["access_token"]
    refuse(database, backend, "%")
    before = content(database)
    for path, data in (
        ("/oauth/token", form),
        ("/oauth/token", form | {"scope": "nonsense"}),
        ("/oauth/revoke", {"token": token}),
        ("/oauth/revoke", {"token": "nonsense"}),
        ("/oauth/introspect", {"token": token}),
    ):
        answer = http.post(path, data=data, headers=client)
        assert (answer.status_code, "access_token" in answer.text) == (503, False), path
        assert content(database) == before
    assert (
        http.post("/access/v1/evaluation", json={}, headers={"Authorization": "Bearer x"}).status_code == 503
    )
    assert (
        http.post("/access/v1/evaluation", json={}, headers={"Authorization": f"Bearer {person}"}).status_code
        == 400
    )
    http.application.extensions["countersign"].database.dispose()


@on_every_database
def test_no_step_runs_with_tokens_that_are_not_told_of(flow, database, backend):
    """The run itself could be told of, its tokens could not."""
    refuse(database, backend, "tokens:%")
    assert flow.start(exit_code=None).exit_code == 1
    with database.reading_connection() as connection:
        state = connection.execute(text("SELECT state FROM runs")).scalar_one()
        issued = connection.execute(text("SELECT count(*) FROM issued_tokens")).scalar_one()
    assert (state, issued) == ("failed", 0)
    assert not (flow.out / "ran").exists()
