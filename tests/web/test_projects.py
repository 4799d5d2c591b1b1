"""A human with a project: members, a configuration, and a flow that is started and cancelled."""

import pytest
from playwright.sync_api import expect

MARKUP = "<script>alert(1)</script>"
CONFIGURATION = f"""
id_tokens: {{VAULT_ID_TOKEN: {{aud: https://vault.acme.example}}}}
flows:
  wait:
    inputs: {{WORD: {{default: patience}}}}
    script:
      - printf 'began with %s and \\033[32mgreen\\033[0m {MARKUP}\\n' "$WORD"
      - i=0; while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); done
      - while [ ! -e released ]; do sleep 0.2; echo waiting; done
  quick: {{script: ["echo done at once"]}}
"""


@pytest.fixture(scope="module")
def configured(shared_installation, served_console):
    file = shared_installation.folder / "agent-config.yml"
    file.write_text(CONFIGURATION)
    shared_installation.invoke("project", "config", "set", "acme/webapp", "--file", str(file))


def test_members_are_added_changed_and_removed(tabs):
    with tabs.open("alice") as page:
        page.goto("/console/projects")
        page.get_by_role("link", name="acme/webapp").click()
        page.get_by_role("navigation", name="Project").get_by_role("link", name="Members").click()
        page.get_by_label("Login or name").fill("carol")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("carol is developer of acme/webapp.")).to_be_visible()
        page.get_by_label("Role of carol", exact=True).select_option("reporter")
        page.get_by_role("button", name="Change the role of carol").click()
        expect(page.get_by_text("user:carol is reporter of acme/webapp.")).to_be_visible()
        page.get_by_role("row", name="carol").get_by_role("button", name="Remove").click()
        page.get_by_role("button", name="Remove carol").click()
        expect(page.get_by_text("user:carol has no role of its own")).to_be_visible()


def test_a_configuration_with_faults_is_mended_in_the_browser(tabs):
    with tabs.open("bob") as page:
        page.goto("/console/projects/acme/webapp/-/configuration/edit")
        page.get_by_role("textbox", name="Configuration").fill("flows:\n  wait: {}\n")
        page.get_by_role("button", name="Check and save", exact=True).click()
        expect(page.get_by_role("heading", name="What the linter says")).to_be_visible()
        page.get_by_role("textbox", name="Configuration").fill("flows:\n  wait: {script: ['true']}\n")
        page.get_by_role("button", name="Check and save", exact=True).click()
        expect(page.get_by_text("is in force.")).to_be_visible()


@pytest.mark.usefixtures("configured")
def test_a_flow_is_started_followed_and_cancelled(tabs):
    with tabs.open("bob") as page:
        page.goto("/console/projects/acme/webapp")
        page.get_by_role("link", name="Start wait").click()
        page.get_by_label("WORD").fill("courage")
        page.get_by_role("button", name="Start", exact=True).click()
        log = page.locator("#log")
        expect(log).to_contain_text("waiting")
        expect(log).to_contain_text(f"began with courage and green {MARKUP}")
        expect(page.locator("#log .said-green")).to_have_text("green")
        expect(page.locator("#receipt")).to_contain_text("VAULT_ID_TOKEN")
        wait_for_the_end(page)

        scroll_up(page)
        expect(page.locator("#log-status")).to_contain_text("Paused")
        said = log.inner_text().count("waiting")
        page.wait_for_function(
            "n => document.getElementById('log').innerText.split('waiting').length > n + 2", arg=said
        )
        assert log.evaluate("log => log.scrollTop") == 0
        page.get_by_role("button", name="Follow").click()
        wait_for_the_end(page)

        page.get_by_role("button", name="Cancel", exact=True).first.click()
        page.get_by_role("button", name="End the run").click()
        expect(page.locator("#state")).to_contain_text("cancelled")
        expect(page.get_by_role("button", name="Retry")).to_be_visible()
        expect(page.locator("#log-status")).to_contain_text("this is all")


@pytest.mark.usefixtures("configured")
def test_a_flow_is_started_and_cancelled_without_a_mouse(tabs):
    with tabs.open("bob") as page:
        page.goto("/console/projects/acme/webapp/-/flows/wait")
        page.get_by_role("button", name="Start", exact=True).focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/runs/*")
        page.locator("#run-actions button").first.focus()
        page.keyboard.press("Enter")
        end = page.get_by_role("button", name="End the run")
        expect(end).to_be_visible()
        for _ in range(4):
            if end.evaluate("button => button === document.activeElement"):
                break
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_contain_text("cancelled")


@pytest.mark.usefixtures("configured")
def test_who_may_act_for_me_shows_what_runs_as_it_comes_and_goes(tabs):
    with tabs.open("bob") as page, tabs.open("bob") as other:
        page.goto("/console/who-may-act-for-me")
        running = page.locator("#running")
        expect(running).to_contain_text("Nothing is running in your name.")
        other.goto("/console/projects/acme/webapp/-/flows/wait")
        other.get_by_role("button", name="Start", exact=True).click()
        expect(running.get_by_role("row", name="wait")).to_contain_text("running")
        other.get_by_role("button", name="Cancel", exact=True).first.click()
        other.get_by_role("button", name="End the run").click()
        expect(running).to_contain_text("Nothing is running in your name.")


def wait_for_the_end(page):
    """To which the log goes a moment after something has come."""
    page.wait_for_function(
        """() => {
            const log = document.getElementById("log");
            return log.scrollHeight - log.scrollTop - log.clientHeight < 30;
        }"""
    )


def scroll_up(page):
    """Again and again, as a wheel does: what comes in the same moment leads back to the end."""
    page.wait_for_function(
        """() => {
            document.getElementById("log").scrollTop = 0;
            return document.getElementById("log-status").textContent.startsWith("Paused");
        }"""
    )
