"""The ledger in a browser: search, the drawer, its page, and files of what was found."""

import csv
import json
from pathlib import Path


def test_a_search_stays_in_the_address_and_is_the_file_that_is_taken(tabs):
    with tabs.open("carol") as page:
        page.goto("/console/audit")
        page.get_by_role("textbox", name="Service account").fill("duo")
        page.get_by_role("button", name="Search").click()
        page.wait_for_url("**/console/audit?*service_account=duo*")
        shown = page.locator("#events tbody tr").count()
        with page.expect_download() as taken:
            page.get_by_role("link", name="JSON Lines").click()
        events = [json.loads(line) for line in Path(taken.value.path()).read_text().splitlines()]
        assert len(events) == shown > 0
        with page.expect_download() as taken:
            page.get_by_role("link", name="CSV").click()
        table = list(csv.DictReader(Path(taken.value.path()).read_text().splitlines()))
        assert [row["hash"] for row in table] == [event["hash"] for event in events]


def test_an_event_opens_in_a_drawer_and_closes_by_keyboard_alone(tabs):
    with tabs.open("alice") as page:
        page.goto("/console/audit?action=identity:delegation:grant&user=bob")
        event = page.get_by_role("link", name="identity:delegation:grant")
        event.focus()
        page.keyboard.press("Enter")
        drawer = page.get_by_role("dialog")
        drawer.get_by_text("Place in the chain").wait_for()
        assert "duo" in drawer.inner_text()
        assert "bob" in drawer.inner_text()
        assert "from what stands before it" in drawer.inner_text()
        page.keyboard.press("Escape")
        drawer.wait_for(state="hidden")
        assert page.evaluate("document.activeElement.getAttribute('data-opens')") == "event"


def test_a_drawer_never_shows_another_event_and_says_its_own_trouble(tabs):
    with tabs.open("alice") as page:
        page.goto("/console/audit")
        events, drawer = page.locator("[data-opens=event]"), page.get_by_role("dialog")
        events.nth(1).click()
        drawer.get_by_text("Place in the chain").wait_for()
        page.keyboard.press("Escape")
        drawer.wait_for(state="hidden")
        page.route("**/console/audit/**", lambda route: route.abort())
        events.first.click()
        drawer.get_by_text("This could not be fetched").wait_for()
        assert "Place in the chain" not in drawer.inner_text()
    assert all("Failed to fetch" in fault for fault in tabs.faults)
    tabs.faults.clear()


def test_a_late_answer_of_the_event_before_stays_out_of_the_drawer(tabs):
    with tabs.open("alice") as page:
        page.goto("/console/audit")
        events, drawer = page.locator("[data-opens=event]"), page.get_by_role("dialog")
        late = f"**{events.first.get_attribute('href')}"
        page.route(late, lambda _route: None)
        with page.expect_request(late) as asked:
            events.first.click()
        page.keyboard.press("Escape")
        drawer.wait_for(state="hidden")
        with page.expect_event("requestfailed") as given_up:
            events.nth(1).click()
        drawer.get_by_text("Place in the chain").wait_for()
        assert given_up.value.url == asked.value.url


def test_without_a_script_an_event_is_a_page(tabs):
    with tabs.open("alice") as page:
        page.goto("/console/audit?action=identity:user:create")
        where = page.get_by_role("link", name="identity:user:create").first.get_attribute("href")
        page.goto(where)
        assert page.get_by_role("heading", level=1).inner_text().startswith("Event ")
        page.get_by_role("link", name="Audit", exact=True).first.click()
        page.wait_for_url("**/console/audit")
