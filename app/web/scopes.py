"""What each scope allows, in words for whoever gives it or meets it in a token."""

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "api": "everything that its human may do, here and over the API",
    "project.read": "see that a project is there, and what it is called",
    "code.read": "read code",
    "code.write": "change code",
    "run.read": "see runs and read their logs",
    "run.cancel": "cancel runs",
    "flow.start": "start flows",
    "secret.read": "have the secrets that a flow declares",
    "configuration.write": "change what flows do, and from where that is read",
    "project.create": "make projects",
    "project.admin": "change and delete projects",
    "member.manage": "say who is a member, and with which role",
    "audit.read": "read the ledger of a project",
}
