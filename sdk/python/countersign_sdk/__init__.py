"""For resource servers: who calls (``identify``, locally) and may they (``decide``, asked of the issuer)."""

from countersign_sdk.refusals import ANY_TOKEN
from countersign_sdk.resource_server import (
    Decision,
    DecisionUnavailable,
    Identity,
    InvalidToken,
    ResourceServer,
)

__all__ = ["ANY_TOKEN", "Decision", "DecisionUnavailable", "Identity", "InvalidToken", "ResourceServer"]
