import gzip
import re

import pytest
from flask import Flask

from app.web.assets import STATIC, Assets, blueprint

FILES = {
    "console.css": b"body { color: black }" * 100,
    "console.js": b"import './times.js'",
    "vendor/htmx.min.js": b"htmx()",
    "vendor/manifest.json": b"[]",
    "vendor/licences/htmx.org.txt": b"0BSD",
    "icon.svg": b"<svg/>",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.js").write_bytes(b"outside")
    for name, body in FILES.items():
        (tmp_path / "static" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "static" / name).write_bytes(body)
    return tmp_path / "static"


@pytest.fixture
def app(folder):
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(blueprint(Assets(folder)))
    return app


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def url(app):
    def url(name):
        with app.test_request_context():
            return app.jinja_env.globals["asset"](name)

    return url


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("console.css", "text/css; charset=utf-8"),
        ("console.js", "text/javascript; charset=utf-8"),
        ("vendor/htmx.min.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_a_file_is_kept_for_ever_as_what_it_is(client, url, name, content_type):
    answer = client.get(url(name))
    assert (answer.status_code, answer.data) == (200, FILES[name])
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_it_is_compressed_for_who_takes_that(client, url):
    answer = client.get(url("console.css"), headers={"Accept-Encoding": "br, gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.data) < 100
    assert gzip.decompress(answer.data) == FILES["console.css"]


@pytest.mark.parametrize("accepted", [None, "br", "gzip;q=0", "identity"])
def test_and_for_nobody_else(client, url, accepted):
    answer = client.get(url("console.css"), headers={"Accept-Encoding": accepted} if accepted else {})
    assert "Content-Encoding" not in answer.headers
    assert answer.data == FILES["console.css"]


@pytest.mark.parametrize("accepted", ["identity", "gzip"])
def test_who_has_it_is_told_so(client, url, accepted):
    headers = {"Accept-Encoding": accepted}
    etag = client.get(url("console.css"), headers=headers).headers["ETag"]
    answer = client.get(url("console.css"), headers=headers | {"If-None-Match": etag})
    assert (answer.status_code, answer.data) == (304, b"")


def test_the_two_encodings_have_their_own_tags(client, url):
    tags = {client.get(url("icon.svg"), headers={"Accept-Encoding": e}).headers["ETag"] for e in ("gzip", "")}
    assert len(tags) == 2


def test_the_address_of_every_file_changes_when_one_of_them_does(folder):
    before = Assets(folder).digest
    assert Assets(folder).digest == before
    (folder / "console.js").write_bytes(b"import './dialogs.js'")
    assert Assets(folder).digest != before


def test_a_module_finds_its_neighbour_beside_itself(url):
    assert url("console.js").rpartition("/")[0] == url("console.css").rpartition("/")[0]


def test_the_address_of_another_release_answers_but_is_not_kept(client, url):
    """While two releases run side by side a page of the one may ask a node of the other."""
    *start, _, name = url("console.css").split("/")
    answer = client.get("/".join([*start, "0123456789abcdef", name]))
    assert (answer.status_code, answer.data) == (200, FILES["console.css"])
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "name",
    [
        "absent.css",
        "../secret.js",
        "..%2fsecret.js",
        "%2e%2e/secret.js",
        "vendor/../../secret.js",
        "vendor",
        "vendor/",
        "/etc/passwd",
        "vendor/manifest.json",
        "vendor/licences/htmx.org.txt",
        "console.css%00.js",
    ],
)
def test_nothing_else_is_given_out(client, url, name):
    there = url("console.css").removesuffix("console.css")
    assert client.get(there + name).status_code in {308, 404}


def test_it_stays_below_the_path_of_the_issuer(app):
    with app.test_request_context(base_url="https://id.example/tenant"):
        assert app.jinja_env.globals["asset"]("icon.svg").startswith("/tenant/console/static/")


def test_a_template_that_names_no_file_fails_at_once(app):
    with app.test_request_context(), pytest.raises(KeyError):
        app.jinja_env.globals["asset"]("consol.css")


FIRST_LOAD = 150_000


def test_the_first_load_of_a_page_with_a_plot_is_small():
    """What every page names, and the modules that its own script imports."""
    base = (STATIC.parent / "templates/base.html").read_text()
    imported = re.findall(r'"\./([\w.]+)"', (STATIC / "console.js").read_text())
    named = {*re.findall(r"asset\('([^']+)'\)", base), *imported}
    files = Assets().files
    assert sum(len(files[name].compressed) for name in named) < FIRST_LOAD * 0.9
