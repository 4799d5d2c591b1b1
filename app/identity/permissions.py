"""Roles and permissions: a table of data. Each permission needs the role beside it, or a higher one."""

from enum import IntEnum

from app.protocol.scopes import API


class Role(IntEnum):
    """Roles in a project or group, weakest first."""

    GUEST = 10
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50

    @property
    def label(self) -> str:
        return self.name.lower()


PERMISSIONS: dict[str, Role] = {
    "project.read": Role.GUEST,
    "code.read": Role.REPORTER,
    "run.read": Role.REPORTER,
    "code.write": Role.DEVELOPER,
    "flow.start": Role.DEVELOPER,
    "run.cancel": Role.DEVELOPER,
    "secret.read": Role.DEVELOPER,
    "configuration.write": Role.MAINTAINER,
    "project.create": Role.MAINTAINER,
    "audit.read": Role.OWNER,
    "member.manage": Role.OWNER,
    "project.admin": Role.OWNER,
}
"""Permission name to the weakest role that has it. An unknown permission is nobody's."""

READING = frozenset({"project.read", "code.read", "run.read", "audit.read"})
"""What an auditor has everywhere. Not ``secret.read``: with it a run gets the values."""

SCOPES: frozenset[str] = frozenset({API, *PERMISSIONS})
"""Every scope but the dynamic one."""

ADMINISTERING = frozenset(
    {"run.cancel", "configuration.write", "project.create", "member.manage", "project.admin"}
)
"""What these do outlives a run and may reach further than it, so that no token of a run has them."""


def role_named(label: str) -> Role | None:
    return next((role for role in Role if role.label == label), None)


def allows(role: Role | None, permission: str) -> bool:
    needed = PERMISSIONS.get(permission)
    return role is not None and needed is not None and role >= needed
