"""An API of somebody else's: an audience, and an account that may ask about its tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.test import TestResponse

from app.identity import accounts
from app.secret import Secret
from app.tokens import audiences
from app.tokens.audiences import AudienceKind, Rendering
from tests.support.components import ISSUER, World, basic

INTROSPECT, REVOKE = "/oauth/introspect", "/oauth/revoke"


@dataclass(frozen=True)
class ResourceServer:
    world: World
    uri: str
    account: int
    secret: Secret

    @property
    def authorization(self) -> str:
        return basic(f"sa_{self.account}", self.secret.reveal())

    def token(self, scope: str = "api", **form: Any) -> str:
        """An access token of duo's for this API, in alice's name."""
        answer = self.world.ask(scope=f"{scope} {self.world.scope}".strip(), resource=self.uri, **form)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["access_token"])

    def introspect(self, token: str, **form: str) -> TestResponse:
        return self.world.http.post(
            INTROSPECT, data={"token": token, **form}, headers={"Authorization": self.authorization}
        )

    def sees(self, token: str) -> Mapping[str, Any]:
        answer = self.introspect(token)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def is_active(self, token: str) -> bool:
        return bool(self.sees(token)["active"])


def resource_server(
    world: World,
    uri: str = "https://api.acme.example",
    name: str = "acme-api",
    rendering: Rendering = Rendering.COMPOSITE,
) -> ResourceServer:
    account, secret = world.new_account(name, is_composite=False)
    with world.components.database.reading() as session:
        introspector = accounts.find_service_account(session, name)
    world.change(
        audiences.register,
        ISSUER,
        uri,
        AudienceKind.API,
        "RS256",
        [],
        rendering=rendering,
        introspectors=[introspector],
    )
    return ResourceServer(world, uri, account, secret)
