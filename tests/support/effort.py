"""How long a test tries: briefly at each change, ten times as long in `make proof`."""

import os

from hypothesis import HealthCheck, settings

PROOF = os.environ.get("PROOF") == "1"


def count(*, ci: int, proof: int) -> int:
    """How often to repeat, by whether `PROOF=1`."""
    return proof if PROOF else ci


def register_profiles() -> None:
    """`ci` tries the same examples each time: a change is judged by what it changes. `proof` explores."""
    settings.register_profile(
        "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.register_profile(
        "proof",
        max_examples=1000,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("proof" if PROOF else "ci")
