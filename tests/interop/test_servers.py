"""The servers that other tests stand on are the real ones, and each test starts from nothing."""

import psycopg
import pytest
import requests


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_has_an_empty_database_of_its_own(postgresql_url, attempt):
    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE only_once (attempt integer)")


def test_postgresql_listens_on_no_network(postgresql_url):
    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_openbao_is_unsealed_and_ours(openbao):
    health = requests.get(f"{openbao.address}/v1/sys/health", timeout=60).json()
    assert (health["initialized"], health["sealed"]) == (True, False)
    headers = {"X-Vault-Token": openbao.root_token}
    mounts = requests.get(f"{openbao.address}/v1/sys/mounts", headers=headers, timeout=60).json()
    assert "secret/" in mounts["data"]
