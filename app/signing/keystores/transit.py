"""Private keys in the transit engine of Vault or OpenBao: they never leave it, and it signs.

Each key is a transit key of its own, of one version: rotating it in Vault changes nothing here.
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)
from sqlalchemy import delete, insert, select

from app.clock import Clock
from app.db import Database
from app.errors import InvalidInput
from app.signing.algorithms import RSA_BITS, Algorithm, PrivateKey, RawSigner, decoded, public_jwk
from app.signing.keystores.base import IN_THE_MAKING, KeystoreError, KeystoreName, NewKey
from app.signing.keystores.local import new_key
from app.signing.keystores.models import TransitKey
from app.signing.keystores.transit_server import TransitServer
from app.signing.models import SigningKey

_PREFIX = "countersign-"
"""Of every key's name, for Vault's policies."""
_TYPES: Mapping[Algorithm, str] = {
    Algorithm.ES256: "ecdsa-p256",
    Algorithm.ES384: "ecdsa-p384",
    Algorithm.EDDSA: "ed25519",
}
_RSA_PADDING: Mapping[Algorithm, str] = {Algorithm.RS256: "pkcs1v15", Algorithm.PS256: "pss"}


class TransitKeystore:
    name = KeystoreName.TRANSIT
    is_remote = True

    def __init__(
        self, server: TransitServer, database: Database, clock: Clock, *, mount: str = "transit"
    ) -> None:
        self._server = server
        self._database = database
        self._clock = clock
        self._mount = mount

    def check(self) -> None:
        """Asks for a key that there is not, by a name that the policy lets us ask for."""
        self._described(f"{_PREFIX}check")

    @contextmanager
    def making_keys(self) -> Iterator[None]:
        yield

    def generate(self, alg: Algorithm, rsa_bits: int = RSA_BITS) -> NewKey:
        name = self._noted_name()
        self._server.ask(
            "make a key",
            lambda vault: vault.secrets.transit.create_key(
                name,
                exportable=False,
                allow_plaintext_backup=False,
                key_type=_TYPES.get(alg, f"rsa-{rsa_bits}"),
                mount_point=self._mount,
            ),
        )
        return self._read_back(name, alg)

    def adopt(self, key: PrivateKey, alg: Algorithm) -> NewKey:
        """Takes it in wrapped for this server alone (BYOK). It has been outside, unlike those made there."""
        made, name = new_key(key, alg), self._noted_name()
        content = {
            "type": _TYPES.get(alg, f"rsa-{getattr(key, 'key_size', RSA_BITS)}"),
            "ciphertext": self._wrapped(key),
            "hash_function": "SHA256",
            "allow_rotation": False,
            "exportable": False,
            "allow_plaintext_backup": False,
        }
        path = f"/v1/{self._mount}/keys/{name}/import"
        self._server.ask("import a key", lambda vault: vault.adapter.post(path, json=content))
        if (there := self._read_back(name, alg)).kid != made.kid:
            raise KeystoreError(f"transit keystore: {name} has another public key than was imported")
        return there

    def confirm(self, kid: str) -> None:
        """Nothing to do: the row in ``signing_keys`` says it."""

    def unconfirmed(self) -> list[str]:
        theirs = (SigningKey.reference == TransitKey.name) & (SigningKey.keystore == self.name.value)
        query = select(TransitKey.name).outerjoin(SigningKey, theirs).where(SigningKey.kid.is_(None))
        with self._database.reading() as session:
            return list(session.scalars(query.where(TransitKey.created_at < self._clock() - IN_THE_MAKING)))

    def destroy(self, kid: str, reference: str | None = None) -> None:
        name = reference or kid
        if self._described(name) is not None:
            self._server.ask(
                "allow a key's deletion",
                lambda vault: vault.secrets.transit.update_key_configuration(
                    name, deletion_allowed=True, mount_point=self._mount
                ),
            )
            self._server.ask(
                "delete a key",
                lambda vault: vault.secrets.transit.delete_key(name, mount_point=self._mount),
            )
        with self._database.writing() as session:
            session.execute(delete(TransitKey).where(TransitKey.name == name))

    def signing_key(self, kid: str, alg: Algorithm, reference: str | None = None) -> RawSigner:
        """Asks nothing of Vault: whoever has a signature of it checks that against the public key."""
        if reference is None:
            raise KeystoreError(f"transit keystore: the row of the key {kid} does not say its name in Vault")
        return _TransitSigner(self._server, self._mount, reference, alg)

    def _noted_name(self) -> str:
        """Durable before Vault hears of it, so that a key that nobody came to use is found again."""
        name = _PREFIX + secrets.token_hex(8)
        with self._database.writing() as session:
            session.execute(insert(TransitKey).values(name=name, created_at=self._clock()))
        return name

    def _described(self, name: str) -> Mapping[str, Any] | None:
        return self._server.ask(
            "read a key", lambda vault: vault.secrets.transit.read_key(name, mount_point=self._mount)
        )

    def _read_back(self, name: str, alg: Algorithm) -> NewKey:
        found = self._described(name)
        if found is None:
            raise KeystoreError(f"transit keystore: the key {name} is not there after it was made")
        if found.get("exportable") is not False or found.get("allow_plaintext_backup") is not False:
            raise KeystoreError(f"transit keystore: the key {name} can be exported, so it is not used")
        try:
            jwk = _jwk(found["keys"]["1"]["public_key"], alg)
        except (InvalidInput, KeyError, TypeError, ValueError):
            raise KeystoreError(f"transit keystore: {name} is no key that signs {alg}") from None
        return NewKey(jwk["kid"], alg, jwk, reference=name)

    def _wrapped(self, key: PrivateKey) -> str:
        """AES-256-KWP under a key that is itself under RSA-OAEP of the server's own (RFC 5649, RFC 8017)."""
        path = f"/v1/{self._mount}/wrapping_key"
        answer = self._server.ask("read the wrapping key", lambda vault: vault.adapter.get(path)) or {}
        wrapping_key = load_pem_public_key(str(answer.get("public_key")).encode())
        if not isinstance(wrapping_key, RSAPublicKey):
            raise KeystoreError("transit keystore: its wrapping key is no RSA key")
        content = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        once = secrets.token_bytes(32)
        oaep = OAEP(MGF1(SHA256()), SHA256(), None)
        return b64encode(wrapping_key.encrypt(once, oaep) + aes_key_wrap_with_padding(once, content)).decode()


@dataclass(frozen=True)
class _TransitSigner:
    server: TransitServer
    mount: str
    name: str
    alg: Algorithm

    def sign(self, signing_input: bytes) -> bytes:
        answer = (
            self.server.ask(f"sign with {self.name}", lambda vault: self._asked(vault, signing_input)) or {}
        )
        try:
            signature = decoded(answer["signature"].removeprefix("vault:v1:"))
        except (KeyError, AttributeError, ValueError):
            raise KeystoreError(
                f"transit keystore: {self.name} has not signed: there is no signature in the answer"
            ) from None
        return signature

    def _asked(self, vault: Any, signing_input: bytes) -> requests.Response:
        """RFC 7518 §3.3 to §3.5: a PSS salt as long as the hash; ``jws`` puts r and s side by side."""
        response: requests.Response = vault.secrets.transit.sign_data(
            self.name,
            hash_input=b64encode(signing_input).decode(),
            key_version=1,
            hash_algorithm="sha2-384" if self.alg is Algorithm.ES384 else "sha2-256",
            signature_algorithm=_RSA_PADDING.get(self.alg),
            salt_length="hash" if self.alg is Algorithm.PS256 else None,
            marshaling_algorithm="jws",
            mount_point=self.mount,
        )
        return response


def _jwk(text: str, alg: Algorithm) -> dict[str, Any]:
    """Of a public key as Vault tells it: PEM, or raw in base64 if it is an Ed25519 key."""
    if alg is Algorithm.EDDSA:
        return public_jwk(Ed25519PublicKey.from_public_bytes(b64decode(text, validate=True)), alg)
    return public_jwk(load_pem_public_key(text.encode()), alg)  # type: ignore[arg-type]  # checked by it
