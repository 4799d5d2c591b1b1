"""The overview in a browser: from what needs attention to its cure, and to who may act for me."""


def test_a_newcomer_finds_who_may_act_for_them_in_one_click(tabs):
    with tabs.open("bob") as page:
        page.get_by_role("link", name="may act for me", exact=True).click()
        page.wait_for_url("**/console/who-may-act-for-me")


def test_the_plot_is_drawn_beside_its_table_and_spans_two_days_at_a_click(tabs):
    with tabs.open("alice") as page:
        page.request.post("/oauth/token", form={"client_id": "sa_4711", "client_secret": "wrong"})
        page.goto("/console/")
        page.locator("[data-plot] canvas").wait_for()
        page.get_by_text("As a table").click()
        assert page.locator(".plot-table tbody tr").count() == 24
        page.get_by_role("link", name="48 hours").click()
        page.wait_for_url("**/console/?hours=48#activity")
        page.get_by_text("As a table").click()
        assert page.locator(".plot-table tbody tr").count() == 48


def test_what_needs_attention_leads_to_its_cure_by_keyboard_alone(tabs):
    tabs.installation.invoke(
        "delegation", "grant", "--user", "alice", "--service-account", "duo", "--expires", "2d"
    )
    with tabs.open("alice") as page:
        page.get_by_role("link", name="duo for alice").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/delegations**")
