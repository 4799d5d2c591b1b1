"""Users, service accounts and delegations, by click and by key, as a human would."""

from playwright.sync_api import expect

from tests.support.components import basic


def tab_to(page, role, name):
    """With the Tab key alone."""
    wanted = page.get_by_role(role, name=name, exact=True)
    for _ in range(80):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no way to {name} by keyboard")


def test_a_human_finds_who_may_act_for_them_and_ends_it_with_one_click(tabs):
    with tabs.open("bob") as page:
        page.get_by_role("navigation").get_by_role("link", name="Who may act for me").click()
        expect(page.get_by_role("heading", name="duo may act for you")).to_be_visible()
        page.get_by_role("button", name="End it: duo").click()
        page.get_by_text("duo may not act for you any more.").wait_for()
        expect(page.get_by_text("No agent may act for you.")).to_be_visible()


def test_a_human_lets_an_agent_act_by_keyboard_alone(tabs):
    with tabs.open("bob") as page:
        page.goto("/console/delegations")
        tab_to(page, "link", "Let an agent act")
        page.keyboard.press("Enter")
        page.wait_for_url("**/delegations/-/new")
        tab_to(page, "combobox", "Agent")
        page.keyboard.type("duo")
        tab_to(page, "combobox", "It may do")
        page.keyboard.type("only")
        tab_to(page, "checkbox", "read code code.read")
        page.keyboard.press("Space")
        tab_to(page, "button", "Let it act")
        page.keyboard.press("Enter")
        page.get_by_text("duo may act for you now.").wait_for()
        expect(page.get_by_role("listitem").filter(has_text="read code")).to_be_visible()


def test_a_user_is_made_let_in_and_killed(tabs):
    with tabs.open("alice") as page, tabs.open(None) as other:
        page.goto("/console/users")
        page.get_by_role("link", name="New user").click()
        page.get_by_label("Login").fill("dora")
        page.get_by_label("E-mail").fill("dora@acme.example")
        page.get_by_role("button", name="Create user").click()
        link = page.get_by_role("textbox", name="Link that signs dora in").input_value()
        other.goto(link)
        other.get_by_role("button", name="Sign in with this link").click()
        other.get_by_role("heading", name="Overview").wait_for()
        page.get_by_role("link", name="I have it").click()
        page.wait_for_url("**/console/users/dora")
        page.get_by_role("button", name="Kill switch").click()
        dialog = page.get_by_role("dialog", name="End everything that lives from dora?")
        assert "1 browser session" in dialog.inner_text()
        dialog.get_by_label("Reason").fill("<script>alert(1)</script>")
        kill = dialog.get_by_role("button", name="Kill", exact=True)
        expect(kill).to_be_disabled()
        dialog.get_by_label("To confirm, type dora").fill("dora")
        kill.click()
        page.get_by_text("Killed: 0 access tokens").wait_for()
        other.goto("/console/keys")
        assert other.get_by_role("heading", level=1).inner_text() == "Sign in"


def test_a_disabled_user_is_enabled_again(tabs):
    with tabs.open("alice") as page:
        page.goto("/console/users/carol")
        page.get_by_role("button", name="Disable").click()
        page.get_by_role("dialog").get_by_role("button", name="Disable").click()
        page.get_by_text("carol is disabled, and signed out everywhere.").wait_for()
        page.get_by_role("button", name="Enable").click()
        page.get_by_text("carol is enabled.").wait_for()


def test_an_account_and_its_secret_are_made_by_keyboard_alone(tabs, served_console):
    with tabs.open("alice") as page:
        page.goto("/console/service-accounts")
        tab_to(page, "link", "New service account")
        page.keyboard.press("Enter")
        page.wait_for_url("**/service-accounts/-/new")
        tab_to(page, "textbox", "Name")
        page.keyboard.type("shop")
        tab_to(page, "combobox", "It acts")
        page.keyboard.type("in")
        tab_to(page, "button", "Create service account")
        page.keyboard.press("Enter")
        page.get_by_text("shop is created.").wait_for()
        tab_to(page, "button", "New secret")
        page.keyboard.press("Enter")
        secret = page.get_by_role("textbox", name="Client secret of shop").input_value()
        number = page.locator(".facts code").first.inner_text()
        answer = page.request.post(
            "/oauth/token",
            form={"grant_type": "client_credentials", "scope": "api"},
            headers={"Authorization": basic(number, secret)},
        )
        assert answer.status == 200, answer.text()


def test_a_pair_is_looked_at_in_a_place(tabs):
    with tabs.open("alice", dark=True) as page:
        page.goto("/console/service-accounts/duo")
        page.get_by_label("For", exact=True).fill("bob")
        page.get_by_label("In project or group").fill("acme/webapp")
        page.get_by_role("button", name="Show").click()
        row = page.get_by_role("row").filter(has_text="project.admin")
        assert "bob is maintainer in acme/webapp; project.admin needs owner" in row.inner_text()
