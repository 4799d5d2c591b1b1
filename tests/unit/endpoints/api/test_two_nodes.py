"""What two nodes do at once: one of two who saw the same changes it, and what is put twice is there once."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tests.support.components import on_every_database

PUTS = {
    "project": ("/projects/acme/new", None),
    "group": ("/groups/acme/tools", None),
    "member": ("/projects/acme/webapp/members/user:bob", {"role": "guest"}),
    "group member": ("/groups/acme/members/user:bob", {"role": "guest"}),
    "variable": ("/projects/acme/webapp/variables/AUD", {"value": "x"}),
    "audience": (f"/audiences/{quote('https://api.example', safe='')}", {"kind": "api"}),
}
CHANGES = {
    "project": ("PATCH", "/projects/acme/new", [{"path": f"acme/new-{each}"} for each in range(4)]),
    "member": (
        "PUT",
        PUTS["member"][0],
        [{"role": each} for each in ("owner", "reporter", "developer", "maintainer")],
    ),
    "variable": ("PUT", PUTS["variable"][0], [{"value": str(each)} for each in range(4)]),
    "audience": (
        "PUT",
        PUTS["audience"][0],
        [{"kind": "api", "introspect": ["shop"]}, {"kind": "api", "rendering": "delegated"}],
    ),
}


def together(*calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(future.result().status_code for future in [pool.submit(each) for each in calls])


def root(api, method, path, body, **headers):
    """As an administrator, by a client of its own."""
    client = api.world.http.application.test_client()
    sent = {"Authorization": api.authorization["administrator"]} | headers
    return client.open(f"/api/v1{path}", method=method, json=body, headers=sent)


@on_every_database
@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("what", PUTS)
def test_what_is_put_twice_at_once_is_made_once(api, what):
    path, body = PUTS[what]
    statuses = together(*[lambda: root(api, "PUT", path, body)] * 4)
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409}
    assert root(api, "GET", path, None).status_code == 200


@on_every_database
@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("what", CHANGES)
def test_of_those_who_saw_the_same_one_changes_it(api, what):
    method, path, bodies = CHANGES[what]
    seen = root(api, "PUT", path, PUTS[what][1]).headers["ETag"]
    statuses = together(
        *[lambda body=body: root(api, method, path, body, **{"If-Match": seen}) for body in bodies]
    )
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 404, 412}
