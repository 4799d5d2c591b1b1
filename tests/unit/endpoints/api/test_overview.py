"""The overview through the API: of everything for those who oversee, of their own for everybody else."""

import pytest

from .conftest import problem


@pytest.mark.parametrize(
    ("caller", "everything"), [("administrator", True), ("alice", False), ("stranger", False)]
)
def test_it_is_about_everything_or_about_the_caller(api, caller, everything):
    told = api(caller, "GET", "/overview").get_json()
    assert told["everything"] is everything
    assert told["counts"]["may_act_for_me"] == (caller == "alice")
    assert (told["counts"]["users"] is None) is not everything


def test_a_disabled_account_may_act_for_nobody(api):
    api.world.set_active("duo", active=False)
    assert api("alice", "GET", "/overview").get_json()["counts"]["may_act_for_me"] == 0


@pytest.mark.parametrize("path", ["/overview", "/activity"])
@pytest.mark.parametrize("caller", ["composite token", "account", "narrow", "nobody"])
def test_it_is_for_humans_in_person(shared_api, caller, path):
    problem(shared_api(caller, "GET", path), 401 if caller == "nobody" else 403)


def test_hours_are_counted_up_to_two_days(api):
    api.world.ask(scope=api.world.scope)
    hours = api("alice", "GET", "/activity?hours=48").get_json()["hours"]
    assert len(hours) == 48
    assert hours[-1] == {"at": "2026-11-22T10:00:00.000000Z", "tokens": 2, "runs": 0, "denied": 0}
    problem(api("alice", "GET", "/activity?hours=49"), 422)


def test_the_chain_is_for_overseers(api):
    assert api("administrator", "GET", "/audit-events/chain").get_json()["checkpoint"] is None
    problem(api("alice", "GET", "/audit-events/chain"), 403)


def test_an_event_is_had_by_its_place_if_it_is_the_callers(api):
    grant = api.world.events("identity:delegation:grant")[0]
    path = f"/audit-events/{grant.writer}/{grant.seq}"
    for caller in ("administrator", "alice"):
        told = api(caller, "GET", path).get_json()
        assert (told["follows"], told["names"][f"service_account:{api.world.duo}"]) == (True, "duo")
    problem(api("stranger", "GET", path), 404)
    problem(api("narrow", "GET", path), 404)


@pytest.mark.parametrize(("ending", "kind"), [("jsonl", "application/jsonl"), ("csv", "text/csv")])
def test_events_are_downloaded_as_far_as_they_are_the_callers(api, ending, kind):
    lengths = {}
    for caller in ("administrator", "alice"):
        answer = api(caller, "GET", f"/audit-events/export.{ending}")
        assert answer.mimetype == kind
        lengths[caller] = len(answer.text.splitlines())
    assert 1 < lengths["alice"] < lengths["administrator"]
    problem(api("alice", "GET", f"/audit-events/export.{ending}?user=root"), 403)
