"""Signing keys and audiences, by click and by keyboard: what is done shows in the JWKS and the ledger."""

import time

from playwright.sync_api import expect

URI = "https://api.acme.example"


def wait_for_jwks(page, holds):
    """Until what every verifier fetches is so: a process follows a change within seconds."""
    deadline = time.monotonic() + 90
    while not holds(page.request.get("/.well-known/jwks.json").text()):
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)


def in_state(page, state, alg="RS256"):
    stage = page.locator(f".stage-{state} .key").filter(has_text=alg)
    return stage.locator(".key-name code").first.inner_text()


def actions(installation):
    return [row["action"] for row in installation.invoke("audit", "list", json=True).data]


def tab_to(page, text):
    for _ in range(80):
        page.keyboard.press("Tab")
        if text in page.evaluate("document.activeElement.textContent"):
            return
    raise AssertionError(f"no key leads to {text}")


def test_a_rotation_by_click_shows_in_the_jwks_and_the_ledger(tabs, shared_installation):
    with tabs.open("alice") as page:
        page.goto("/console/keys")
        active, following = in_state(page, "active"), in_state(page, "next")
        page.get_by_role("button", name="Rotate…").click()
        dialog = page.get_by_role("dialog", name="Rotate RS256")
        dialog.get_by_role("button", name="Rotate", exact=True).click()
        page.get_by_text(f"{following} signs now").wait_for()
        assert (in_state(page, "active"), in_state(page, "retired")) == (following, active)
        published = {active, following, in_state(page, "next")}
        wait_for_jwks(page, lambda jwks: all(kid in jwks for kid in published))
        assert "keys:signing_key:rotate" in actions(shared_installation)


def test_an_early_rotation_by_keyboard_alone(tabs, shared_installation):
    shared_installation.invoke("keys", "rotate", "--now", "--reason", "so that the next one is new")
    with tabs.open("alice") as page:
        page.goto("/console/keys")
        early = in_state(page, "next")
        tab_to(page, "Rotate early…")
        page.keyboard.press("Enter")
        page.get_by_role("dialog", name="Rotate RS256 before its time").wait_for()
        assert page.evaluate("document.activeElement.type") == "checkbox"
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.type("a drill")
        page.keyboard.press("Enter")
        page.get_by_text(f"{early} signs now").wait_for()
        assert in_state(page, "active") == early


def test_a_revocation_tells_first_what_breaks_and_wants_the_key_id(tabs, shared_installation):
    command = ("token", "issue", "--service-account", "duo", "--user", "bob")
    shared_installation.invoke(*command)
    with tabs.open("alice") as page:
        page.goto("/console/keys")
        active = in_state(page, "active")
        page.get_by_text("1 live token for 1 audience").wait_for()
        page.get_by_role("link", name="Revoke the active RS256 key…").click()
        page.get_by_role("heading", name="What breaks").wait_for()
        button = page.get_by_role("button", name="Revoke for ever")
        page.get_by_label("Reason").fill("<b>in a repository</b>")
        expect(button).to_be_disabled()
        page.get_by_role("textbox", name="The key id").fill(active)
        button.click()
        page.get_by_text(f"{active} is revoked").wait_for()
        wait_for_jwks(page, lambda jwks: active not in jwks)
        page.get_by_text("<b>in a repository</b>").wait_for()


def test_an_algorithm_comes_with_an_audience_and_goes_with_it(tabs):
    with tabs.open("alice") as page:
        page.goto("/console/keys")
        page.get_by_role("link", name="Add an algorithm").click()
        page.get_by_label("Audience", exact=True).fill(URI)
        page.get_by_label("Signed with").select_option("ES256")
        page.get_by_role("button", name="Add").click()
        page.get_by_text(f"{URI} is registered").wait_for()
        page.goto("/console/keys")
        page.get_by_text("ES256 is new").wait_for()
        active = in_state(page, "active", "ES256")
        wait_for_jwks(page, lambda jwks: active in jwks)
        page.goto("/console/audiences")
        page.get_by_role("link", name=f"Change {URI}").click()
        page.get_by_label("sub of its tokens").select_option("delegated")
        page.get_by_role("button", name="Change").click()
        page.get_by_text(f"{URI} is changed").wait_for()
        page.get_by_role("link", name=f"Remove {URI}").click()
        page.get_by_text("the ES256 keys go too").wait_for()
        page.get_by_role("textbox", name="The audience").fill(URI)
        page.get_by_role("button", name="Remove").click()
        page.get_by_text("is not registered any more").wait_for()
        wait_for_jwks(page, lambda jwks: "ES256" not in jwks)


def test_the_four_questions_are_answered_without_scrolling(tabs):
    with tabs.open("alice") as page:
        page.goto("/console/keys")
        page.locator("#conditions").get_by_text("ready").first.wait_for()
        for answer in (
            ".stage-active .key-name",
            ".stage-next .key-name",
            ".stage-next .countdown",
            ".key-impact",
        ):
            box = page.locator(answer).first.bounding_box()
            assert box["y"] + box["height"] <= 800


def test_a_member_reads_and_changes_nothing(tabs):
    with tabs.open("bob") as page:
        page.goto("/console/keys")
        assert len(in_state(page, "active")) == 43
        assert page.get_by_role("button", name="Rotate").count() == 0
        assert page.get_by_role("link", name="Revoke").count() == 0
