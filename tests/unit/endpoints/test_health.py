"""Alive, ready, counted; and what every answer carries."""

from base64 import b64encode

import pytest

from app.signing.algorithms import Algorithm
from app.signing.keystores import KeystoreName
from app.wiring import Components
from tests.support.components import OPERATOR, ManualClock, installed, settings_for
from tests.unit.signing.keysets import key


def test_alive(shared_world):
    assert shared_world.http.get("/healthz").get_json() == {"status": "ok"}


def test_ready(shared_world):
    answer = shared_world.http.get("/readyz")
    assert (answer.status_code, answer.get_json()) == (200, {"ready": True, "faults": [], "warnings": []})


def test_not_ready_without_its_keys(prepared, tmp_path, caplog):
    """A stranger reads which check failed; the log says which file."""
    with installed(prepared, tmp_path, ManualClock()) as app:
        for file in (tmp_path / "keys").glob("*.pem"):
            file.unlink()
        answer = app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json() == {"ready": False, "faults": ["signing key"], "warnings": []}
    assert "restore it from a backup" in caplog.text


def test_not_ready_once_the_key_that_signs_is_one_it_cannot_have(prepared, tmp_path):
    """It was ready; then another node rotated to a key whose file is not here. Discovery goes on."""
    with installed(prepared, tmp_path, ManualClock()) as app:
        node = app.extensions["countersign"]
        assert app.test_client().get("/readyz").status_code == 200
        kid = Components(node.settings, node.clock).lifecycle.rotate(Algorithm.RS256, OPERATOR)
        (tmp_path / "keys" / f"{kid}.pem").rename(tmp_path / "elsewhere")
        node.keyring.refresh()
        answer = app.test_client().get("/readyz")
        assert (answer.status_code, answer.get_json()["faults"]) == (503, ["signing key"])
        assert app.test_client().get("/.well-known/jwks.json").status_code == 200
        (tmp_path / "elsewhere").rename(tmp_path / "keys" / f"{kid}.pem")
        node.keyring.refresh()
        assert app.test_client().get("/readyz").status_code == 200


def test_warns_of_an_algorithm_whose_key_cannot_be_had(world, tmp_path):
    with (
        world.components.lifecycle.offering(Algorithm.ES256, OPERATOR) as take,
        world.components.database.writing() as session,
    ):
        take(session)
    kid = key(world.components, "active", "ES256").kid
    (tmp_path / "keys" / f"{kid}.pem").unlink()
    world.components.keyring._snapshot = None
    answer = world.http.get("/readyz")
    assert (answer.status_code, answer.get_json()["warnings"]) == (200, ["keystores"])


def test_warns_of_a_key_that_was_moved_to_where_it_cannot_read(prepared, tmp_path):
    """It signs with what it opened before; a restart, or the next rotation, would end that."""
    with installed(prepared, tmp_path, ManualClock()) as app:
        node = app.extensions["countersign"]
        assert app.test_client().get("/readyz").get_json()["warnings"] == []
        settings = settings_for(tmp_path, KEY_ENCRYPTION_KEY=b64encode(bytes(32)).decode())
        other = Components(settings, node.clock)
        for target, warnings in ((KeystoreName.DATABASE, ["keystores"]), (KeystoreName.FILES, [])):
            other.mover.move(target, OPERATOR)
            for _ in range(2):
                node.keyring.refresh()
                answer = app.test_client().get("/readyz")
                assert (answer.status_code, answer.get_json()["warnings"]) == (200, warnings)
        other.database.dispose()


def test_not_ready_before_it_is_migrated(prepared, tmp_path, caplog):
    with installed(prepared, tmp_path, ManualClock()) as app:
        app.extensions["countersign"].database.downgrade("base")
        answer = app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json()["faults"] == ["database", "signing key"]
    assert "countersign db upgrade" in caplog.text


def test_requests_are_counted_by_endpoint_and_status(shared_world):
    shared_world.http.get("/healthz")
    shared_world.http.get("/no/such/page")
    counted = shared_world.http.get("/metrics").text
    assert 'countersign_http_requests_total{endpoint="health.healthz",method="GET",status="200"}' in counted
    assert 'countersign_http_requests_total{endpoint="none",method="GET",status="404"}' in counted
    assert "no/such" not in counted


def test_a_method_of_a_strangers_own_is_not_a_series_of_its_own(shared_world):
    for method in ("BREW", "X" * 100):
        shared_world.http.open("/healthz", method=method)
    counted = shared_world.http.get("/metrics").text
    assert 'endpoint="none",method="other",status="405"' in counted
    assert "BREW" not in counted


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/nowhere", 404), ("/oauth/token", 405)])
def test_each_answer_is_kept_from_caches_frames_and_sniffers(shared_world, path, status):
    answer = shared_world.http.get(path)
    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Strict-Transport-Security" not in answer.headers


def test_behind_https_browsers_are_held_to_it(prepared, tmp_path):
    with installed(prepared, tmp_path, ManualClock(), ISSUER="https://localhost:8443") as app:
        assert app.test_client().get("/healthz").headers["Strict-Transport-Security"] == "max-age=63072000"


@pytest.mark.spec("RFC 9457", "3", "A problem has its type, title and status.")
def test_a_fault_outside_oauth_is_a_problem(shared_world):
    answer = shared_world.http.get("/nowhere")
    assert answer.content_type == "application/problem+json"
    assert answer.get_json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "request_id": answer.headers["X-Request-Id"],
    }


@pytest.fixture(scope="module")
def behind_proxy(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxy")
    with installed(prepared, folder, ManualClock(), TRUSTED_PROXIES="127.0.0.0/8, ::1") as app:
        yield app.test_client()


class TestARequestsName:
    def test_is_our_own_for_a_stranger(self, shared_world):
        answer = shared_world.http.get("/healthz", headers={"X-Request-Id": "chosen-by-them"})
        assert answer.headers["X-Request-Id"] != "chosen-by-them"

    def test_is_the_trusted_proxys(self, behind_proxy):
        answer = behind_proxy.get("/healthz", headers={"X-Request-Id": "chosen-by-proxy"})
        assert answer.headers["X-Request-Id"] == "chosen-by-proxy"

    @pytest.mark.parametrize("name", ["short", "x" * 65, "spaces in it", "ä" * 10, '"quoted"', ""])
    def test_is_our_own_when_the_proxys_is_no_name(self, behind_proxy, name):
        given = behind_proxy.get("/healthz", headers={"X-Request-Id": name}).headers["X-Request-Id"]
        assert given != name
        assert len(given) == 16

    @pytest.mark.parametrize("address", ["10.0.0.1", "", "unix:", "::ffff:10.0.0.1"])
    def test_is_our_own_when_another_peer_sends_it(self, behind_proxy, address):
        answer = behind_proxy.get(
            "/healthz", headers={"X-Request-Id": "chosen-by-them"}, environ_overrides={"REMOTE_ADDR": address}
        )
        assert answer.headers["X-Request-Id"] != "chosen-by-them"
