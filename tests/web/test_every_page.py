"""What holds for every page, found by walking over the console as each role."""

from functools import cache

import pytest
from playwright.sync_api import Page, expect

from app.web.assets import STATIC
from tests.support import axe
from tests.support.console_scene import MARKUP, ROLES, copy_of, watched
from tests.support.crawling import Walker

TEMPLATES = STATIC.parent / "templates"
PARTS = 2
"""In which the browser's walk is cut, for two workers to share it."""
_WIDTH = """() => new Promise((tell) => requestAnimationFrame(() => requestAnimationFrame(
    () => tell(document.documentElement.scrollWidth))))"""
"""Two frames on, for a plot hears only after one that it has less room."""
LOGINS = pytest.mark.parametrize("login", ROLES.values(), ids=ROLES)


@pytest.fixture(scope="session")
def walker(full_installation):
    walker = Walker(full_installation)
    walker.walk = cache(walker.walk)
    walker.forms = cache(walker.forms)
    return walker


@pytest.fixture(scope="module")
def tabs(full_installation, chromium):
    with watched(full_installation, chromium) as tabs:
        yield tabs


@pytest.fixture
def copied(full_installation, tmp_path):
    """For tests that change it."""
    return Walker(copy_of(full_installation, tmp_path, ISSUER=full_installation.issuer))


@LOGINS
def test_what_a_page_leads_to_is_there_for_who_sees_it(walker, login):
    walk = walker.walk(login)
    assert [
        f"{each}: {each.answer.status_code}" for each in walk.pages if each.answer.status_code != 200
    ] == []
    assert [
        f"{each}: {each.answer.status_code}" for each in walk.fragments if each.answer.status_code != 200
    ] == []


@LOGINS
def test_a_page_has_one_heading_a_title_and_no_id_twice(walker, login):
    for each in walker.walk(login).pages:
        if each.is_page:
            assert each.page.tags["h1"] == 1, each
            assert each.page.text_of("h1"), each
            assert each.page.text_of("title").removesuffix("· Countersign").strip(), each
            assert each.page.repeated_ids == [], each
            assert {"main", "nav"} <= each.page.tags.keys(), each


@LOGINS
def test_nothing_is_inline_and_no_name_becomes_markup(walker, login):
    walk = walker.walk(login)
    for each in (*walk.pages, *walk.fragments):
        if each.is_page:
            assert each.page.handlers == [], each
            assert MARKUP[:20] not in each.answer.text, each
            assert "49\"'" not in each.answer.text, each  # {{7*7}} was not computed


@LOGINS
def test_a_form_changes_by_post_with_the_token_and_asks_by_get_without(walker, login):
    for each in walker.walk(login).pages:
        for form in each.page.forms if each.is_page else ():
            assert ("csrf_token" in form.fields) is (form.method == "post"), f"{each}: {form}"
            assert form.method in {"get", "post"}, f"{each}: {form}"


def test_every_page_that_there_is_can_be_come_to(walker, copied):
    """By links, or as what comes of a form."""
    there = {str(file.relative_to(TEMPLATES)) for file in (TEMPLATES / "pages").rglob("*.html")}
    met = {name for login in ROLES.values() for name in walker.walk(login).templates}
    with copied.templates_met() as templates:
        for form in walker.forms("alice"):
            assert copied.send("alice", form, form.missing).status_code < 500, form
    met |= templates
    assert sorted(there - met) == []


@LOGINS
def test_no_form_fails_as_it_stands_or_works_from_elsewhere(walker, copied, login):
    for form in walker.forms(login):
        assert copied.send(login, form, token=False).status_code == 403, form
        assert copied.send(login, form).status_code < 500, form


def test_nothing_is_shown_to_who_is_not_signed_in(walker):
    client, _ = walker.client(None)
    for each in walker.walk("alice").pages:
        answer = client.get(each.url)
        assert answer.status_code == 303, each
        assert "/console/sign-in" in answer.headers["Location"], each


def test_an_empty_installation_has_every_page_as_well(empty_installation):
    for each in Walker(empty_installation).walk("alice").pages:
        assert each.answer.status_code == 200, each
        if each.is_page:
            assert each.page.tags["h1"] == 1, each
            assert each.page.repeated_ids == [], each


def opened_dialogs(page: Page):
    """One dialog or drawer of each kind after the other, opened as a human does and closed by Escape."""
    seen = set()
    for opener in page.locator("[data-opens]:visible").all():
        name = opener.get_attribute("data-opens")
        kind = name.rpartition("-")[0] or name
        if kind in seen:
            continue
        seen.add(kind)
        opener.click()
        dialog = page.locator(f"dialog[id='{name}']")
        expect(dialog).to_be_visible()
        if opener.get_attribute("hx-get"):
            expect(dialog.locator(".drawer-body > *").first).to_be_attached()
        yield name
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()


def faults_of(page: Page, url: str):
    """What this page breaks, in both themes and on a phone, its dialogs opened too."""
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(url)
    yield from axe.findings(page)
    for name in opened_dialogs(page):
        yield from (f"{name}: {each}" for each in axe.findings(page))
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html[data-bs-theme=dark]")).to_be_attached()
    yield from (f"dark: {each}" for each in axe.findings(page, "color-contrast"))
    page.set_viewport_size({"width": 390, "height": 844})
    width = page.evaluate(_WIDTH)
    if width > 390:
        yield f"is {width} wide on a phone"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
@LOGINS
def test_every_page_is_accessible_fits_a_phone_and_keeps_the_policy(walker, tabs, login, part):
    found = {}
    with tabs.open(login) as page:
        for url in walker.walk(login).of_each_kind()[part::PARTS]:
            found[url] = list(faults_of(page, url))
    assert {url: faults for url, faults in found.items() if faults} == {}
    assert tabs.faults == []
