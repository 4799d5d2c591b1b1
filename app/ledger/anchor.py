"""An anchor: a checkpoint as ``countersign audit head`` printed it, kept where nobody who edits can reach."""

from dataclasses import dataclass
from typing import Any

import orjson

from app.clock import rfc3339
from app.errors import InvalidInput
from app.ledger.checkpoints import Heads, signed_text
from app.ledger.key import LedgerPublicKey
from app.ledger.models import LedgerCheckpoint


@dataclass(frozen=True)
class Anchor:
    checkpoint: int
    hash: str
    public_key: LedgerPublicKey

    @classmethod
    def parse(cls, content: bytes) -> "Anchor":
        """What ``shape`` made; it must bear its own key's signature."""
        try:
            said = orjson.loads(content)
            key = LedgerPublicKey.parse(said["public_key"])
            anchor = cls(int(said["id"]), str(said["hash"]), key)
            signature = str(said["signature"])
        except (ValueError, TypeError, KeyError):
            raise InvalidInput("the anchor is not what countersign audit head prints") from None
        if not key.has_signed(signed_text(anchor.hash), signature):
            raise InvalidInput("the anchor is damaged: its signature is not by the key that it names")
        return anchor


def shape(checkpoint: LedgerCheckpoint, heads: Heads, key: LedgerPublicKey) -> dict[str, Any]:
    """``heads``: the chains that had advanced, writer to seq and hash; ``previous`` vouches for the rest."""
    return {
        "id": checkpoint.id,
        "at": rfc3339(checkpoint.at),
        "previous": checkpoint.previous,
        "heads": {str(writer): [seq, row] for writer, seq, row in heads},
        "hash": checkpoint.hash,
        "signature": checkpoint.signature,
        "public_key": key.text,
    }
