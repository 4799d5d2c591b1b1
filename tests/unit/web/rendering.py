"""Templates as the console renders them, without the console."""

from types import SimpleNamespace

from flask import Flask, render_template_string
from jinja2 import StrictUndefined

from app.web.assets import STATIC, Assets, blueprint
from app.web.console import counted, one_time_key, refused_request, with_code

TEMPLATES = STATIC.parent / "templates"
VISIT = SimpleNamespace(login="alice", role="administrator", csrf_token="csrf-token")
NAVIGATION = [
    {"label": "", "items": [{"label": "Overview", "href": "/console/", "icon": "overview", "current": True}]},
    {
        "label": "Trust",
        "items": [{"label": "Keys", "href": "/console/keys", "icon": "key", "current": False}],
    },
]
PAGE = {
    "visit": VISIT,
    "nonce": "n0nce",
    "request_id": "0123456789abcdef",
    "navigation": NAVIGATION,
    "messages": [],
}


def app():
    app = Flask(__name__, static_folder=None, template_folder=TEMPLATES)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    app.register_blueprint(blueprint(Assets()))
    app.add_template_filter(counted)
    app.add_template_filter(with_code)
    app.add_template_global(one_time_key)
    app.add_template_global(refused_request)
    app.add_url_rule("/console/", "console.overview", str)
    app.add_url_rule("/console/audit", "console.audit", str)
    app.add_url_rule("/console/sign-out", "console.sign_out", str, methods=["POST"])
    return app


def rendered(source, **values):
    """What a template of this source gives in a page of the console."""
    with app().test_request_context():
        return render_template_string(source, **(PAGE | values))


def macro(file, call, **values):
    """What `{{ name(…) }}` gives, or a whole `{% call … %}`, with all macros of the file at hand as `m`."""
    return rendered(f'{{% import "macros/{file}.html" as m with context %}}{call}', **values)
