"""A run's environment: the documented set and what the flow declares, and nothing of the server's own."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from app.flows.id_tokens import RunFacts
from app.secret import Secret

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def base_environment(facts: RunFacts, issuer: str, *, home: Path, tmp: Path) -> dict[str, str]:
    """What every run has, whatever its flow declares; documented in ``docs/reference/run-environment.md``."""
    pair = facts.pair
    return {
        "PATH": SEARCH_PATH,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(tmp),
        "COUNTERSIGN_ISSUER": issuer,
        "COUNTERSIGN_RUN_ID": str(facts.run_id),
        "COUNTERSIGN_PROJECT_PATH": facts.project.path,
        "COUNTERSIGN_FLOW": facts.flow.name,
        "COUNTERSIGN_USER": pair.user_login,
        "COUNTERSIGN_SERVICE_ACCOUNT": pair.service_account,
        "GIT_AUTHOR_NAME": pair.service_account,
        "GIT_AUTHOR_EMAIL": f"{pair.service_account}@noreply.{urlsplit(issuer).hostname}",
        "GIT_COMMITTER_NAME": pair.user_login,
        "GIT_COMMITTER_EMAIL": pair.user_email,
    }


def merged(
    base: Mapping[str, str],
    variables: Mapping[str, str],
    inputs: Mapping[str, str],
    secrets: Mapping[str, Secret],
) -> dict[str, str]:
    """One mapping; no name can be in two of them, for the configuration was refused otherwise."""
    return {**variables, **inputs, **{name: value.reveal() for name, value in secrets.items()}, **base}
