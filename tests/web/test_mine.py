"""Sessions, tokens and the password, by click and by key."""

import re

PASSWORD = "vellum harbor quince tally"


def test_a_session_is_ended_from_another_browser(tabs):
    with tabs.open("bob") as here, tabs.open("bob") as there:
        here.goto("/console/mine")
        assert here.get_by_text("this one").count() == 1
        here.get_by_role("button", name=re.compile("^End the session of")).first.click()
        here.get_by_text("That session has ended.").wait_for()
        there.goto("/console/mine")
        assert "/console/sign-in" in there.url


def test_a_token_is_made_shown_once_and_revoked(tabs):
    with tabs.open("bob") as page:
        page.goto("/console/mine")
        page.get_by_role("link", name="New token").click()
        page.get_by_label("code.read").check()
        page.get_by_label("Expires in").select_option("7")
        page.get_by_role("button", name="Create token").click()
        token = page.get_by_role("textbox", name="Personal access token").input_value()
        assert token.startswith("cspat_")
        assert token not in page.url
        page.get_by_role("link", name="I have copied it").click()
        page.wait_for_url("**/console/mine")
        assert token not in page.content()
        page.get_by_role("button", name="Revoke").first.click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        page.get_by_text("is revoked.").wait_for()


def test_a_password_is_set_by_keyboard_alone_and_signs_in(tabs):
    with tabs.open("carol") as page:
        page.goto("/console/mine/password")
        page.get_by_label("New password", exact=True).focus()
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_text("Your password is set.").wait_for()
    with tabs.open(None) as page:
        page.goto("/console/mine")
        page.get_by_label("Login").fill("carol")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/mine")
