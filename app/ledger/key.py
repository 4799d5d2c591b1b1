"""The ledger's own Ed25519 key: it signs checkpoints, and outlives every key that signs tokens."""

from base64 import b64decode, b64encode
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from app.durable import write_once
from app.errors import InvalidInput
from app.secret import Secret

FILE_NAME = "ledger.pem"


class LedgerKeyError(InvalidInput):
    """The ledger's key cannot be had, or must not sign what is there; the message says what to do."""


class LedgerPublicKey:
    """``text`` is the raw key of RFC 8032 §5.1.5 in base64."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    @classmethod
    def parse(cls, text: str) -> "LedgerPublicKey":
        """``ValueError`` if it is not one."""
        return cls(Ed25519PublicKey.from_public_bytes(b64decode(text, validate=True)))

    @property
    def text(self) -> str:
        return b64encode(self._key.public_bytes_raw()).decode()

    def has_signed(self, message: bytes, signature: str) -> bool:
        try:
            self._key.verify(b64decode(signature, validate=True), message)
        except (InvalidSignature, ValueError):
            return False
        return True


class LedgerKey:
    """The file ``ledger.pem`` (encrypted PKCS#8), read when it is first needed."""

    def __init__(self, directory: Path, passphrase: Secret) -> None:
        self.directory = directory
        self._path = directory / FILE_NAME
        self._passphrase = passphrase.reveal().encode()

    def ensure(self) -> None:
        """Makes it on a first start; of processes that start together one does."""
        if self._path.exists():
            return
        encryption = BestAvailableEncryption(self._passphrase)
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_once(self._path, pem)
        except OSError as error:
            raise LedgerKeyError(
                f"the ledger's key cannot be made in {self._path.parent}: {error.strerror}: set "
                "COUNTERSIGN_KEYS_DIR to a directory that this account may write in"
            ) from None

    def sign(self, message: bytes) -> str:
        """In base64."""
        return b64encode(self._private.sign(message)).decode()

    @property
    def public(self) -> LedgerPublicKey:
        return LedgerPublicKey(self._private.public_key())

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        try:
            key = load_pem_private_key(self._path.read_bytes(), self._passphrase)
        except FileNotFoundError:
            raise LedgerKeyError(
                f"the ledger's key is not in {self._path.parent}: restore {FILE_NAME} from a backup, "
                "or copy it from the machine that made it"
            ) from None
        except ValueError:
            raise LedgerKeyError(
                f"the ledger's key {FILE_NAME} in {self._path.parent} cannot be opened: "
                "COUNTERSIGN_KEYS_PASSPHRASE is not the one it was encrypted with, or the file is damaged"
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise LedgerKeyError(f"{FILE_NAME} in {self._path.parent} does not hold an Ed25519 key")
        return key
