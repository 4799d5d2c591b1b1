"""What an https issuer refuses and a trial may do, whoever starts the server is told."""

import pytest

from tests.support.server import Installation


@pytest.mark.slow
def test_a_short_publish_lead_on_loopback_is_told_of_and_served(tmp_path):
    installation = Installation(tmp_path, KEY_PUBLISH_LEAD="10m")
    with installation.serve() as server:
        told = [line for line in server.log.read_text().splitlines() if "not for production" in line]
    assert [line.split()[4] for line in told] == ["COUNTERSIGN_KEY_PUBLISH_LEAD", "COUNTERSIGN_JWKS_MAX_AGE"]
