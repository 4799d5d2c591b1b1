"""Without a mouse: a key is rotated, an account made and its secret copied, a run cancelled."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.console_scene import copy_of, watched

pytestmark = pytest.mark.slow
_MOST_TABS = 200
_FOCUS = """() => {
    const focused = document.activeElement;
    const {outlineStyle, outlineWidth, boxShadow} = getComputedStyle(focused);
    const is_marked = (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
    return {where: focused.outerHTML.slice(0, 200), is_marked, is_nowhere: focused === document.body};
}"""


@pytest.fixture(scope="module")
def installation(full_installation, tmp_path_factory):
    return copy_of(full_installation, tmp_path_factory.mktemp("keyboard"))


@pytest.fixture(scope="module")
def tabs(installation, chromium):
    with watched(installation, chromium) as tabs:
        yield tabs


@pytest.fixture
def page(tabs):
    with tabs.open("alice") as page:
        yield page


def tab_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Tab by Tab, and at each stop one sees where one is."""
    expect(wanted).to_be_visible()
    for _ in range(_MOST_TABS):
        page.keyboard.press(key)
        focus = page.evaluate(_FOCUS)
        assert focus["is_marked"] or focus["is_nowhere"], focus["where"]
        if wanted.evaluate("wanted => wanted === document.activeElement"):
            return
    pytest.fail(f"no way leads to {wanted}")


def press(page: Page, wanted: Locator, key: str = "Enter") -> None:
    tab_to(page, wanted)
    page.keyboard.press(key)


def follow(page: Page, link: Locator, where: str) -> None:
    """Until the page is there: what is looked for next may be on the one before it as well."""
    press(page, link)
    page.wait_for_url(f"**/console/{where}")


def active(installation, algorithm):
    keys = installation.invoke("keys", "list", json=True).data
    [key] = [key["kid"] for key in keys if (key["alg"], key["state"]) == (algorithm, "active")]
    return key


def test_the_first_stop_leads_past_the_navigation(page):
    page.goto("/console/keys")
    press(page, page.get_by_role("link", name="Skip to content"))
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_dialog_keeps_the_focus_and_gives_it_back(page, key):
    page.goto("/console/keys")
    opener = page.locator("[data-opens=rotate-ES256]")
    press(page, opener, key)
    dialog = page.locator("dialog[open]")
    expect(dialog).to_be_visible()
    for _ in range(20):
        assert page.evaluate(
            "document.activeElement === document.body"
            " || document.querySelector('dialog[open]').contains(document.activeElement)"
        )
        page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_key_is_rotated(page, installation):
    before = active(installation, "ES256")
    follow(page, page.get_by_role("link", name="Signing keys", exact=True), "keys")
    press(page, page.locator("[data-opens=rotate-ES256]"))
    press(page, page.locator("dialog[open]").get_by_role("button", name="Rotate", exact=True), "Space")
    expect(page.get_by_role("status").filter(has_text="signs now")).to_be_visible()
    after = active(installation, "ES256")
    assert after != before
    assert after in page.locator("main").inner_text()


def test_an_account_is_made_and_its_secret_copied(page):
    follow(page, page.get_by_role("link", name="Service accounts", exact=True), "service-accounts")
    follow(page, page.get_by_role("link", name="New service account"), "service-accounts/-/new")
    tab_to(page, page.get_by_label("Name", exact=True))
    page.keyboard.type("keyboard-bot")
    press(page, page.get_by_role("button", name="Create service account"))
    expect(page.get_by_role("heading", level=1)).to_have_text("keyboard-bot")
    press(page, page.get_by_role("button", name="New secret"))
    press(page, page.locator(".secret").get_by_role("button", name="Copy", exact=True))
    expect(page.locator("#announcement")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".secret input").input_value()
    assert re.fullmatch(r"\w+_[\w-]{43}", copied)


def test_a_run_is_cancelled(page, installation):
    follow(page, page.get_by_role("link", name="Runs", exact=True), "runs")
    follow(page, page.locator("main a[href$='/runs/5']").first, "runs/5")
    opener = page.get_by_role("button", name="Cancel", exact=True).or_(
        page.get_by_role("link", name="Cancel", exact=True)
    )
    press(page, opener.first)
    press(page, page.locator("dialog[open]").get_by_role("button", name="End the run"))
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("cancelled")
    runs = installation.invoke("run", "list", json=True).data
    assert [run["state"] for run in runs if run["id"] == 5] == ["cancelled"]
