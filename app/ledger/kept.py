"""The last checkpoint, kept beside the ledger's key: who holds only the database cannot take it back."""

from pathlib import Path
from typing import NamedTuple

import orjson

from app.durable import write_durably
from app.ledger.key import LedgerKeyError

FILE_NAME = "ledger.anchor"


class KeptCheckpoint(NamedTuple):
    checkpoint: int
    hash: str


class Kept:
    """The file ``ledger.anchor``, of each node its own: none, or an older one, only vouches for less."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def read(self) -> KeptCheckpoint | None:
        """To be read before the ledger it is held against: what it names was committed by then."""
        try:
            said = orjson.loads(self._path.read_bytes())
            return KeptCheckpoint(int(said["id"]), str(said["hash"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, KeyError):
            raise LedgerKeyError(
                f"{FILE_NAME} in {self._path.parent} cannot be read: copy it from another node, "
                "or compare the ledger with an anchor from elsewhere and remove it"
            ) from None

    def keep(self, made: KeptCheckpoint) -> None:
        """Durably, once that checkpoint is committed."""
        write_durably(self._path, orjson.dumps({"id": made.checkpoint, "hash": made.hash}))
