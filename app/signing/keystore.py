"""Private keys as encrypted PKCS#8 files: ``<kid>.pem``, readable by their owner alone.

A file and a database row cannot be committed together. So a key is saved as ``<kid>.pem.new``, its row is
committed, and only then it gets its name: what a crash leaves in between is told from a key that is in use.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from app.durable import sync_directory, write_durably
from app.errors import InvalidInput
from app.secret import Secret


class KeystoreError(InvalidInput):
    """A private key cannot be had; the message says which and what to do."""


class FileKeystore:
    def __init__(self, directory: Path, passphrase: Secret) -> None:
        self._directory = directory
        self._passphrase = passphrase.reveal().encode()

    @contextmanager
    def making_keys(self) -> Iterator[None]:
        """One process of this machine at a time; a crash lets the next one in."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def save(self, kid: str, key: RSAPrivateKey) -> None:
        """Durable when it returns: a crash leaves the whole file or none. `confirm` it after the commit."""
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._passphrase))
        write_durably(self._unconfirmed_path(kid), pem)

    def confirm(self, kid: str) -> None:
        """The row of a saved key is committed. Again, or from two processes: the same."""
        with suppress(FileNotFoundError, NotADirectoryError):
            self._unconfirmed_path(kid).rename(self._path(kid))
            sync_directory(self._directory)

    def unconfirmed(self) -> list[str]:
        """The ids of keys saved and not confirmed: one is being made right now, or its maker has died."""
        return [path.name.removesuffix(".pem.new") for path in self._directory.glob("*.pem.new")]

    def load(self, kid: str) -> RSAPrivateKey:
        self.confirm(kid)  # whoever asks has seen its row
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
        for path in (self._path(kid), self._unconfirmed_path(kid)):
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()

    def _unconfirmed_path(self, kid: str) -> Path:
        return self._directory / f"{kid}.pem.new"

    def _path(self, kid: str) -> Path:
        return self._directory / f"{kid}.pem"
