"""How this node logs in to Vault for the ``transit`` keystore: the three ways that operators hand out.

What a file holds is read anew at each login: Vault Agent and Kubernetes replace it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import hvac
import requests

from app.secret import Secret

_NOT_RENEWABLE = 400

Read = Callable[[], Secret]
"""``ValueError`` that completes "its credential …" if it cannot be had."""


class Login(Protocol):
    def secret(self) -> Secret:
        """What this login proves itself with, as it is now."""

    def present(self, client: hvac.Client, secret: Secret) -> requests.Response:
        """An answer with ``auth``: the token to use and its life."""

    def serves(self, response: requests.Response) -> bool:
        """Whether the secret is itself a token that serves although the answer has none."""


@dataclass(frozen=True)
class TokenLogin:
    """A token, renewed as long as Vault lets it; one that cannot be renewed serves until it is refused."""

    read: Read

    def secret(self) -> Secret:
        return self.read()

    def present(self, client: hvac.Client, secret: Secret) -> requests.Response:
        client.token = secret.reveal()
        response: requests.Response = client.auth.token.renew_self()
        return response

    def serves(self, response: requests.Response) -> bool:
        return response.status_code == _NOT_RENEWABLE


@dataclass(frozen=True)
class AppRoleLogin:
    role_id: str
    read: Read
    mount: str = "approle"

    def secret(self) -> Secret:
        return self.read()

    def present(self, client: hvac.Client, secret: Secret) -> requests.Response:
        response: requests.Response = client.auth.approle.login(
            self.role_id, secret.reveal(), use_token=False, mount_point=self.mount
        )
        return response

    def serves(self, response: requests.Response) -> bool:  # noqa: ARG002 - the Login's
        return False


@dataclass(frozen=True)
class JwtLogin:
    """For the methods ``jwt`` and ``kubernetes``, whose login is the same."""

    role: str
    read: Read
    mount: str = "jwt"

    def secret(self) -> Secret:
        return self.read()

    def present(self, client: hvac.Client, secret: Secret) -> requests.Response:
        response: requests.Response = client.auth.jwt.jwt_login(
            self.role, secret.reveal(), use_token=False, path=self.mount
        )
        return response

    def serves(self, response: requests.Response) -> bool:  # noqa: ARG002 - the Login's
        return False
