"""Which Vault a flow's secrets are in, as its variables say."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from app.errors import InvalidInput
from app.flows.target import Target
from app.flows.vault_reference import check_path

_NAMES = {"auth_path": "VAULT_AUTH_PATH", "role": "VAULT_AUTH_ROLE", "namespace": "VAULT_NAMESPACE"}
_PLAIN = re.compile(r"[!-~]([ -~]{0,510}[!-~])?")


@dataclass(frozen=True)
class VaultServer:
    """`auth_path`: the jwt method's mount, without `auth/`; `role` None: the method's default role."""

    url: str
    auth_path: str = "jwt"
    role: str | None = None
    namespace: str | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "url", Target.parse(self.url).url)
        except InvalidInput as fault:
            raise InvalidInput(f"VAULT_SERVER_URL {fault}") from None
        for field, variable in _NAMES.items():
            value = getattr(self, field)
            if value is not None and not _PLAIN.fullmatch(value):
                raise InvalidInput(f"{variable} must be at most 512 printable ASCII characters")
        if reason := check_path(self.auth_path):
            raise InvalidInput(f"VAULT_AUTH_PATH is no path such as `jwt`: {reason}")

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> Self:
        """By their names in INTERFACE.md, `VAULT_SERVER_URL` and so on; an empty one counts as absent."""
        url = variables.get("VAULT_SERVER_URL")
        if not url:
            raise InvalidInput(
                "VAULT_SERVER_URL is not set: add it to the variables in agent-config.yml or the project"
            )
        return cls(
            url,
            auth_path=(variables.get("VAULT_AUTH_PATH") or "jwt").strip("/"),
            role=variables.get("VAULT_AUTH_ROLE") or None,
            namespace=variables.get("VAULT_NAMESPACE") or None,
        )
