"""For resource servers: who calls (``identify``, locally) and may they (``decide``, asked of the issuer)."""

from countersign_sdk.resource_server import (
    Decision,
    DecisionUnavailable,
    Identity,
    InvalidToken,
    ResourceServer,
)

__all__ = ["Decision", "DecisionUnavailable", "Identity", "InvalidToken", "ResourceServer"]
