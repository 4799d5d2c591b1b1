"""A human at the door: by a link, out again, and nothing without it."""

from playwright.sync_api import expect


def test_a_link_waits_for_a_click_and_says_whom_it_signs_out(tabs, shared_installation):
    link = shared_installation.invoke("user", "sign-in-link", "bob", json=True).data["url"]
    with tabs.open("alice") as page:
        page.goto(link)
        button = page.get_by_role("button", name="Sign in with this link")
        button.wait_for()
        page.wait_for_url(lambda url: "#" not in url)
        expect(page.get_by_text("alice is signed in here, and is signed out by this.")).to_be_visible()
        button.press("Enter")
        page.wait_for_url(lambda url: "sign-in" not in url)
        assert page.locator(".visitor strong").inner_text() == "bob"


def test_a_link_signs_in_once_and_leaves_no_secret_in_the_address(tabs):
    with tabs.open("alice") as page:
        assert page.locator("h1").inner_text() == "Overview"
        assert "#" not in page.url
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/console/sign-in")
        page.goto("/console/keys")
        assert page.get_by_role("heading", level=1).inner_text() == "Sign in"


def test_a_link_pasted_where_sign_out_leads_is_heeded_without_a_load(tabs, shared_installation):
    link = shared_installation.invoke("user", "sign-in-link", "bob", json=True).data["url"]
    with tabs.open("alice") as page:
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/console/sign-in")
        page.evaluate("link => { location.hash = new URL(link).hash; }", link)
        button = page.get_by_role("button", name="Sign in with this link")
        button.wait_for()
        page.wait_for_url(lambda url: "#" not in url)
        button.press("Enter")
        page.wait_for_url(lambda url: "sign-in" not in url)
        assert page.locator(".visitor strong").inner_text() == "bob"
