"""The tables of the keystores that keep something in the database."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class SealedKey(Base):
    """A private key of the ``database`` keystore: PKCS#8, sealed; written before its ``signing_keys`` row."""

    __tablename__ = "sealed_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    alg: Mapped[str]
    kek_id: Mapped[str]
    nonce: Mapped[bytes]
    ciphertext: Mapped[bytes]
    created_at: Mapped[datetime]


class TransitKey(Base):
    """The name of a key of ``transit``: written before Vault makes it, gone when it is destroyed."""

    __tablename__ = "transit_keys"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
