"""Moving private keys from one keystore to another: same keys, same JWKS, so that no verifier notices.

The copy is durable before the row names it, and the original is destroyed once the copy has signed. A crash
in between leaves one copy too many, and never one too few; the next start, or the next move, destroys it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.signing.algorithms import Algorithm, PrivateKey
from app.signing.keystores import Keystores
from app.signing.keystores.base import Keystore, KeystoreError, KeystoreName, NewKey, ReadableKeystore
from app.signing.keystores.checking import check_signs
from app.signing.keystores.files import FileKeystore
from app.signing.models import SIGNING, SigningKey
from app.signing.transitions import hold


@dataclass(frozen=True)
class Moves:
    """By ``kid``. What stays is in a keystore that gives no private half away: it leaves by rotations."""

    moved: tuple[str, ...]
    staying: tuple[str, ...]


class Mover:
    def __init__(self, database: Database, keystores: Keystores, clock: Clock) -> None:
        self._database = database
        self._keystores = keystores
        self._clock = clock

    def move(self, target: KeystoreName, by: Actor) -> Moves:
        """Every key that signs or will sign. Run again after whatever stopped it, it does the rest."""
        self.finish()
        store = self._keystores[target]
        elsewhere = [row for row in self._signing() if row.keystore != target]
        sources = [(row, self._keystores[row.keystore]) for row in elsewhere]
        movable = [(row, source) for row, source in sources if isinstance(source, ReadableKeystore)]
        moved = [row.kid for row, source in movable if self._moved(row, source, store, by)]
        staying = [row.kid for row, source in sources if not isinstance(source, ReadableKeystore)]
        return Moves(tuple(moved), tuple(staying))

    def finish(self) -> None:
        """Destroys files that a stopped move has left; what it left in the database is healed by age."""
        files = self._keystores[KeystoreName.FILES]
        if not isinstance(files, FileKeystore) or not self._left_in(files):
            return
        with files.making_keys():  # a move into it may be under way
            for row in self._left_in(files):
                with suppress(KeystoreError):
                    check_signs(row, self._keystores)
                    files.destroy(row.kid)

    def _left_in(self, files: FileKeystore) -> list[SigningKey]:
        return [row for row in self._signing() if row.keystore != files.name and files.has(row.kid)]

    def _moved(self, row: SigningKey, source: ReadableKeystore, target: Keystore, by: Actor) -> bool:
        """``False`` for a key that has stopped signing, or was moved by somebody else, meanwhile."""
        algorithm = Algorithm(row.alg)
        with target.making_keys():
            private = self._private_key(row, source)
            if private is None:
                return False
            copy = target.adopt(private, algorithm)
            with self._database.writing() as session:
                done = self._renamed(session, row, copy, target, by)
            now = self._row(row.kid)
            if not done:
                in_place = (now.keystore, now.reference) == (target.name, copy.reference)
                if not in_place or now.state not in SIGNING:
                    target.destroy(copy.kid, copy.reference)
                return False
            target.confirm(copy.kid)
        check_signs(now, self._keystores)
        source.destroy(row.kid, row.reference)
        return True

    def _private_key(self, row: SigningKey, source: ReadableKeystore) -> PrivateKey | None:
        """``None`` once somebody else has moved it, or it is dead."""
        try:
            return source.private_key(row.kid, Algorithm(row.alg))
        except KeystoreError:
            now = self._row(row.kid)
            if now.keystore == row.keystore and now.state in SIGNING:
                raise
            return None

    def _renamed(self, session: Session, seen: SigningKey, copy: NewKey, target: Keystore, by: Actor) -> bool:
        hold(session)
        now = self._clock()
        row = session.get_one(SigningKey, seen.kid)
        if row.keystore != seen.keystore or row.state not in SIGNING:
            return False
        row.keystore, row.reference = target.name.value, copy.reference
        detail = {"from": seen.keystore, "to": target.name.value}
        record(session, by.did(AuditAction.SIGNING_KEY_MOVE, now, kid=row.kid, detail=detail))
        return True

    def _row(self, kid: str) -> SigningKey:
        with self._database.reading() as session:
            return session.get_one(SigningKey, kid)

    def _signing(self) -> Sequence[SigningKey]:
        query = select(SigningKey).where(SigningKey.state.in_(SIGNING)).order_by(SigningKey.published_at)
        with self._database.reading() as session:
            return session.scalars(query).all()
