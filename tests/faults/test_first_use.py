"""The use of a secret is noted once a minute; those who come together in that moment do not get in each
other's way.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tests.support.components import on_every_database
from tests.support.effort import count

TOGETHER = 6


@on_every_database
def test_a_secret_that_many_use_for_the_first_time_at_once(world):
    app, barrier = world.http.application, Barrier(TOGETHER)
    form = {"grant_type": "client_credentials", "scope": world.scope}

    def ask(_):
        client = app.test_client()
        barrier.wait()
        answer = client.post("/oauth/token", data=form, headers={"Authorization": world.basic()})
        return answer.status_code

    with ThreadPoolExecutor(TOGETHER) as pool:
        for _ in range(count(ci=5, proof=50)):
            world.clock.advance(minutes=2)  # the next use is due to be noted
            assert set(pool.map(ask, range(TOGETHER))) == {200}
