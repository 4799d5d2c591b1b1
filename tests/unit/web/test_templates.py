"""What every template of the console keeps to, whoever writes it."""

import re

import pytest

from app.web.assets import STATIC
from tests.unit.web.rendering import TEMPLATES, app, rendered

ALL = sorted(TEMPLATES.rglob("*.html"))
OURS = sorted(file for file in STATIC.glob("*.js"))

FORBIDDEN = {
    "an inline style": r"\sstyle\s*=",
    "a style element": r"<style\b",
    "an inline handler": r"\son[a-z]+\s*=",
    "a handler of htmx": r"\bhx-on\b|\bjs:",
    "an inline script": r"<script(?![^>]*\bsrc=)",
    "a script address": r"javascript:",
    "data that is not escaped": r"\|\s*safe\b|autoescape\s+false|Markup\(",
    "another origin": r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//""",
}


def named(file):
    return str(file.relative_to(STATIC.parent))


@pytest.mark.parametrize("file", ALL, ids=named)
def test_a_template_parses(file):
    app().jinja_env.get_template(file.relative_to(TEMPLATES).as_posix())


@pytest.mark.parametrize("what", FORBIDDEN)
@pytest.mark.parametrize("file", ALL, ids=named)
def test_a_template_has_nothing_that_the_policy_forbids(file, what):
    assert re.findall(FORBIDDEN[what], file.read_text(), re.IGNORECASE) == []


@pytest.mark.parametrize("file", ALL, ids=named)
def test_whatever_htmx_heeds_bears_the_nonce(file):
    source = re.sub(r"\{#.*?#\}", "", file.read_text(), flags=re.DOTALL)
    tags = re.findall(r"<[a-z][^>]*\shx-[a-z]+[^>]*>", source)
    assert [tag for tag in tags if 'hx-nonce="{{ nonce }}"' not in tag] == []


SIGNING_IN = TEMPLATES / "pages/signing_in/sign_in.html"  # there is no token before there is a session


@pytest.mark.parametrize("file", [file for file in ALL if file != SIGNING_IN], ids=named)
def test_every_form_that_posts_has_its_token(file):
    forms = re.findall(r"<form\b[^>]*method=.?post.*?</form>", file.read_text(), re.IGNORECASE | re.DOTALL)
    assert [form for form in forms if "csrf()" not in form] == []


@pytest.mark.parametrize("file", OURS, ids=named)
def test_a_script_writes_text_and_never_markup(file):
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|createPolicy"
    assert re.findall(sinks, file.read_text()) == []


PAGE = (
    '{% extends "base.html" %}{% block title %}Keys{% endblock %}{% block content %}<p>here</p>{% endblock %}'
)


def test_a_page_has_a_title_a_heading_and_landmarks():
    page = rendered(PAGE)
    assert "<title>Keys · Countersign</title>" in page
    assert "<h1>Keys</h1>" in page
    assert '<a class="skip" href="#content">' in page
    assert [page.count(tag) for tag in ("<main", "<nav", '<header class="side"')] == [1, 1, 1]


def test_the_navigation_says_where_one_is():
    page = rendered(PAGE)
    assert re.findall(r'<a href="([^"]+)" aria-current="page">', page) == ["/console/"]


def test_who_is_signed_in_can_sign_out_by_a_post():
    page = rendered(PAGE)
    form = re.search(r'<form class="visitor".*?</form>', page, re.DOTALL)[0]
    assert 'method="post" action="/console/sign-out"' in form
    assert '<input type="hidden" name="csrf_token" value="csrf-token">' in form
    assert "<strong>alice</strong><span>administrator</span>" in form


def test_who_is_not_sees_no_navigation():
    page = rendered(PAGE, visit=None)
    assert "<nav" not in page
    assert "sign-out" not in page
    assert "<p>here</p>" in page


def test_a_page_without_a_plot_does_not_load_what_draws_them():
    assert "uplot" not in rendered(PAGE)
    assert rendered("{% set plots = true %}" + PAGE).count("uplot") == 2


def test_every_address_of_a_page_is_our_own():
    page = rendered("{% set plots = true %}" + PAGE)
    assert {url[0] for url in re.findall(r'(?:src|href|action)="([^"]*)"', page)} == {"/", "#"}


@pytest.mark.parametrize(("kind", "role"), [("good", "status"), ("warn", "status"), ("bad", "alert")])
def test_a_message_is_said_aloud(kind, role):
    page = rendered(PAGE, messages=[{"kind": kind, "text": "<b>Rotated</b>", "request_id": ""}])
    assert f'<p class="notice notice-{kind}" role="{role}">' in page
    assert "<span>&lt;b&gt;Rotated&lt;/b&gt;</span>" in page


def test_an_error_states_cause_fix_and_request():
    told = {
        "status": 403,
        "title": "Not <yours>",
        "cause": "Auditors change nothing.",
        "fix": "Ask alice.",
    }
    page = rendered('{% extends "error.html" %}', **told, visit=None)
    assert "<h1>Not &lt;yours&gt;</h1>" in page
    for text in ("Auditors change nothing.", "Ask alice.", "0123456789abcdef", "403"):
        assert f">{text}<" in page
