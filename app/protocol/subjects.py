"""Subjects: which components make the ``sub`` of a project's runs, and in which order.

``project_path:acme/webapp:flow:fix-ci``: names and values in turn. No value has a colon, so that a subject
is read in one way only: other components, or another value of one of them, never give the same text.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from app.errors import InvalidInput
from app.protocol.claims import LONGEST_SUBJECT

LEADING = ("project_path", "project_id")
"""One of these comes first, so that no project can have a subject of another's."""
COMPONENTS = (
    *LEADING,
    "flow",
    "service_account",
    "user_id",
    "user_login",
    "ref_type",
    "ref",
    "ref_protected",
)
DEFAULT = ("project_path", "flow")


def parse(text: str) -> tuple[str, ...]:
    """``project_path,flow``, as it is stored and typed."""
    return checked(text.split(","))


def checked(components: Iterable[str]) -> tuple[str, ...]:
    """``InvalidInput`` unless they are of the list, each once, one of ``LEADING`` first."""
    found = tuple(components)
    if not set(found) <= set(COMPONENTS):
        raise InvalidInput(f"subject: write components out of {', '.join(COMPONENTS)}")
    if len(set(found)) != len(found):
        raise InvalidInput("subject: a component stands in it twice: name it once")
    if not found or found[0] not in LEADING:
        raise InvalidInput(f"subject: begin with {' or '.join(LEADING)}: it tells projects apart")
    return found


def written(components: Iterable[str]) -> str:
    return ",".join(components)


def leads_with_id(components: Iterable[str]) -> bool:
    """Whether the project's number, never reused, comes first, and not its path, which may change hands."""
    return next(iter(components)) == "project_id"


def subject(components: Iterable[str], values: Mapping[str, str]) -> str:
    """Letters, digits and ``-._~/`` stay as they are, the rest is percent-encoded (RFC 3986 §2.1).

    ``InvalidInput`` for a component without a value, and above what every verifier takes.
    """
    parts = [part for name in components for part in (name, _value(name, values))]
    text = ":".join(parts)
    if len(text) > LONGEST_SUBJECT:
        raise InvalidInput(
            f"subject: would have {len(text)} bytes, and some verifiers refuse more than {LONGEST_SUBJECT}: "
            "give it fewer components (project_id is shorter than project_path), or shorten a name"
        )
    return text


def require_room(components: Iterable[str], known: Mapping[str, str], flows: Iterable[str] = ()) -> None:
    """``InvalidInput`` if a run of one of the ``flows``, or of any, could have no subject, however short what
    is not known yet, such as a login, turns out.
    """
    longest = max(flows, key=len, default=_SHORTEST["flow"])
    subject(components, {**_SHORTEST, **known, "flow": longest})


_SHORTEST = dict.fromkeys(COMPONENTS, "x") | {"ref_type": "tag", "ref_protected": "true"}


def _value(name: str, values: Mapping[str, str]) -> str:
    if value := values.get(name):
        return quote(value, safe="/")
    raise InvalidInput(f"subject: this run has no {name}: {_REMEDIES.get(name, _FROM_GIT)}")


_FROM_GIT = (
    "read the configuration from a Git repository (countersign project source set), "
    "or leave the component out (countersign project subject set)"
)
_REMEDIES = {
    "service_account": "name a service account to run it, or leave the component out "
    "(countersign project subject set)"
}
