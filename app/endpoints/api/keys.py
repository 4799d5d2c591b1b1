"""Signing keys: their public history."""

from app import representation as shapes
from app.endpoints.api.call import Call
from app.endpoints.api.operations import By, Resource
from app.endpoints.api.schemas import Output, Page
from app.representation import Shape

keys = Resource("Keys")


class KeyAnswer(Output):
    kid: str
    alg: str
    state: str
    published_at: str | None
    activated_at: str | None
    retired_at: str | None
    removed_at: str | None


@keys.operation("GET", "/keys", by=By.ANYBODY, answer=Page[KeyAnswer], opens="nothing")
def list_keys(call: Call) -> Shape:
    """List signing keys, the newest publication first; the keys themselves are in the JWKS."""
    rows = call.components.keyring.history()
    return {"items": [shapes.signing_key(row) for row in rows], "next_cursor": None}
