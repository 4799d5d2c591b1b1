"""A run's environment: the documented set and what the flow declares, and nothing of the server's own."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from app.flows.id_tokens import RunFacts
from app.identity.composite import Composite, Person
from app.secret import Secret

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def base_environment(
    facts: RunFacts, issuer: str, *, home: Path, tmp: Path, programs: Path
) -> dict[str, str]:
    """What every run has, whatever its flow declares; documented in ``docs/reference/run-environment.md``."""
    return {
        "PATH": f"{programs}:{SEARCH_PATH}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(tmp),
        "COUNTERSIGN_ISSUER": issuer,
        "COUNTERSIGN_RUN_ID": str(facts.run_id),
        "COUNTERSIGN_PROJECT_PATH": facts.project.path,
        "COUNTERSIGN_FLOW": facts.flow.name,
        **_people(facts.identity, issuer),
    }


def _people(identity: Person, issuer: str) -> dict[str, str]:
    """The agent writes the commits, for the human; who runs alone writes their own."""
    name, email = identity.user_login, identity.user_email
    human = {"COUNTERSIGN_USER": name, "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email}
    if not isinstance(identity, Composite):
        return {**human, "GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email}
    agent = identity.service_account
    return {
        **human,
        "COUNTERSIGN_SERVICE_ACCOUNT": agent,
        "GIT_AUTHOR_NAME": agent,
        "GIT_AUTHOR_EMAIL": f"{agent}@noreply.{urlsplit(issuer).hostname}",
    }


def merged(
    base: Mapping[str, str],
    variables: Mapping[str, str],
    inputs: Mapping[str, str],
    secrets: Mapping[str, Secret],
) -> dict[str, str]:
    """One mapping; no name can be in two of them, for the configuration was refused otherwise."""
    return {**variables, **inputs, **{name: value.reveal() for name, value in secrets.items()}, **base}
