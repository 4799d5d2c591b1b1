"""Private keys as encrypted PKCS#8 files: ``<kid>.pem``, readable by their owner alone."""

from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from app.durable import write_durably
from app.errors import InvalidInput
from app.secret import Secret


class KeystoreError(InvalidInput):
    """A private key cannot be had; the message says which and what to do."""


class FileKeystore:
    def __init__(self, directory: Path, passphrase: Secret) -> None:
        self._directory = directory
        self._passphrase = passphrase.reveal().encode()

    def save(self, kid: str, key: RSAPrivateKey) -> None:
        """Durable when it returns: a crash leaves the whole file or none."""
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._passphrase))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(self._path(kid), pem)

    def load(self, kid: str) -> RSAPrivateKey:
        try:
            key = load_pem_private_key(self._path(kid).read_bytes(), self._passphrase)
        except FileNotFoundError:
            raise KeystoreError(
                f"the private key {kid} is not in {self._directory}: "
                "restore it from a backup, or copy it from the machine that made it"
            ) from None
        except OSError as error:
            raise KeystoreError(
                f"the private key {kid} in {self._directory} cannot be read: {error.strerror}"
            ) from None
        except (ValueError, TypeError):  # TypeError: it is not encrypted at all
            raise KeystoreError(
                f"the private key {kid} in {self._directory} cannot be opened: "
                "COUNTERSIGN_KEYS_PASSPHRASE is not the one it was encrypted with, or the file is damaged"
            ) from None
        if not isinstance(key, RSAPrivateKey):
            raise KeystoreError(f"{kid}.pem in {self._directory} does not hold an RSA key")
        return key

    def destroy(self, kid: str) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            self._path(kid).unlink()

    def _path(self, kid: str) -> Path:
        return self._directory / f"{kid}.pem"
