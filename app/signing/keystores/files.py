"""Private keys as encrypted PKCS#8 files: ``<kid>.pem``, readable by their owner alone.

A file and a database row cannot be committed together. So a key is saved as ``<kid>.pem.new``, its row is
committed, and only then it gets its name: what a crash leaves in between is told from a key that is in use.

A directory is one machine's. It may be the wrong one, so no key is made in one that lacks all that sign; and
it may hold copies of what was destroyed elsewhere, so files of dead keys go whatever their rows say.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from sqlalchemy import select

from app.clock import system_clock
from app.db import Database
from app.durable import sync_directory, write_durably
from app.secret import Secret
from app.signing.algorithms import RSA_BITS, Algorithm, LocalSigner, PrivateKey, RawSigner, generate
from app.signing.keystores.base import IN_THE_MAKING, KeystoreError, KeystoreName, NewKey
from app.signing.keystores.local import check_is, new_key
from app.signing.models import SIGNING, SigningKey


class FileKeystore:
    name = KeystoreName.FILES
    is_remote = False

    def __init__(self, directory: Path, passphrase: Secret, database: Database) -> None:
        self._directory = directory
        self._database = database
        self._passphrase = passphrase.reveal().encode()

    def check(self) -> None:
        self._check_place()

    @contextmanager
    def making_keys(self) -> Iterator[None]:
        """One process of this machine at a time; a crash lets the next one in."""
        with self._worded():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._sweep()
            yield
        finally:
            os.close(descriptor)

    def generate(self, alg: Algorithm, rsa_bits: int = RSA_BITS) -> NewKey:
        return self.adopt(generate(alg, rsa_bits), alg)

    def adopt(self, key: PrivateKey, alg: Algorithm) -> NewKey:
        """Durable when it returns: a crash leaves the whole file or none."""
        made = new_key(key, alg)
        self._check_place()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._passphrase))
        with self._worded():
            write_durably(self._unconfirmed_path(made.kid), pem)
        return made

    def confirm(self, kid: str) -> None:
        """The row of a saved key is committed. Again, or from two processes: the same."""
        with self._worded(), suppress(FileNotFoundError, NotADirectoryError):
            self._unconfirmed_path(kid).rename(self._path(kid))
            sync_directory(self._directory)

    def unconfirmed(self) -> list[str]:
        """Saved and not confirmed: one is being made right now, or its maker has died. And dead ones."""
        saved = [path.name.removesuffix(".pem.new") for path in self._directory.glob("*.pem.new")]
        kids = [path.stem for path in self._directory.glob("*.pem")]
        dead = SigningKey.kid.in_(kids) & SigningKey.state.not_in(SIGNING)
        with self._database.reading() as session:
            return [*saved, *session.scalars(select(SigningKey.kid).where(dead))]

    def destroy(self, kid: str, reference: str | None = None) -> None:  # noqa: ARG002 - the Keystore's
        """``KeystoreError`` if it is not here, and this is not the directory where it should be."""
        there = [path for path in (self._path(kid), self._unconfirmed_path(kid)) if path.exists()]
        with self._worded():
            for path in there:
                path.unlink(missing_ok=True)
                sync_directory(self._directory)
        if not there:
            self._check_place()

    def has(self, kid: str) -> bool:
        return self._path(kid).exists() or self._unconfirmed_path(kid).exists()

    def signing_key(self, kid: str, alg: Algorithm, reference: str | None = None) -> RawSigner:  # noqa: ARG002 - the Keystore's
        return LocalSigner(self.private_key(kid, alg), alg)

    def private_key(self, kid: str, alg: Algorithm) -> PrivateKey:
        self.confirm(kid)  # whoever asks has seen its row
        where = f"the private key {kid} in {self._directory}"
        try:
            key = load_pem_private_key(self._path(kid).read_bytes(), self._passphrase)
        except FileNotFoundError:
            raise KeystoreError(
                f"the private key {kid} is not in {self._directory}: restore it from a backup, or copy it "
                "from the machine that made it; machines that share a database share their keys with "
                "COUNTERSIGN_KEYSTORE=database or transit (countersign keys move); if all that were there "
                f"are lost for ever, make an empty file {kid}.pem there, and revoke them"
            ) from None
        except OSError as error:
            raise KeystoreError(f"{where} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is not encrypted at all
            raise KeystoreError(
                f"{where} cannot be opened: COUNTERSIGN_KEYS_PASSPHRASE is not the one it was encrypted "
                "with, or the file is damaged"
            ) from None
        return check_is(key, kid, alg, f"the file of the private key {kid} in {self._directory}")

    def _check_place(self) -> None:
        here = SigningKey.state.in_(SIGNING) & (SigningKey.keystore == self.name.value)
        with self._database.reading() as session:
            kids = session.scalars(select(SigningKey.kid).where(here)).all()
        if kids and not any(map(self.has, kids)):
            raise KeystoreError(
                f"{self._directory} has none of the private keys that are in use: set COUNTERSIGN_KEYS_DIR "
                "to the directory that has them, or restore it from a backup; if they are lost for ever, an "
                f"empty file {kids[0]}.pem there says so, and new keys may join it"
            )

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise KeystoreError(
                f"the keys directory {self._directory} cannot be used: {error.strerror}: set "
                "COUNTERSIGN_KEYS_DIR to a directory that this account may write in"
            ) from None

    def _sweep(self) -> None:
        """What was killed while it wrote (``durable``). The ledger's key is written here without the lock."""
        long_ago = (system_clock() - IN_THE_MAKING).timestamp()  # the file system's own time
        for path in self._directory.glob(".new-*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < long_ago:
                    path.unlink()

    def _unconfirmed_path(self, kid: str) -> Path:
        return self._directory / f"{kid}.pem.new"

    def _path(self, kid: str) -> Path:
        return self._directory / f"{kid}.pem"
