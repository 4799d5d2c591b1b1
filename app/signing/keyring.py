"""The key set as this process sees it: a snapshot in memory, which needs no database once it is there.

What changes in the database, here or on another node, is followed in the background (``follow``); nobody who
signs or fetches the JWKS waits for it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import Row, select

from app.clock import Clock
from app.db import Database
from app.forks import renewed_in_children
from app.signing.algorithms import ALWAYS, Algorithm
from app.signing.keystores import KeystoreError, Keystores
from app.signing.models import PUBLISHED, KeyState, SigningKey
from app.signing.signer import Signer

_log = logging.getLogger(__name__)
FOLLOWS_WITHIN_SECONDS = 5
"""How long after a change another node may still sign with what was active, or show what was published."""
_EVERY_SECONDS = 2.0

_Row = Row[*tuple[Any, ...]]


@dataclass(frozen=True)
class ActiveKey:
    """``fault``: why its private half cannot be had, in words for the operator. With a ``signer`` it still
    signs with what this process opened before the key was moved, until a restart or a rotation.
    """

    kid: str
    since: datetime
    signer: Signer | None
    fault: str | None = None

    @property
    def cannot_sign(self) -> str | None:
        """Why, if it does not sign at all."""
        return self.fault if self.signer is None else None


@dataclass(frozen=True)
class KeySnapshot:
    """The signing keys of this moment, and the public keys that verifiers may meet."""

    actives: Mapping[str, ActiveKey]
    public_jwks: tuple[dict[str, Any], ...]
    newest: str
    """The ``kid`` of the key that was published last."""
    rows: Sequence[_Row] = field(repr=False)
    """What it was read from: in one piece with it, for several threads refresh."""

    @property
    def active(self) -> Signer:
        return _usable(self.actives[ALWAYS])

    def active_kid(self, algorithm: str) -> str | None:
        """``None`` for an algorithm that is not in use."""
        return self.actives[algorithm].kid if algorithm in self.actives else None

    @property
    def has_fault(self) -> bool:
        return any(key.fault for key in self.actives.values())

    def signer(self, algorithm: str, now: datetime) -> Signer:
        """For this algorithm; until its first key has been public for the lead, ``RS256`` stands in."""
        key = self.actives.get(algorithm)
        return self.active if key is None or key.since > now else _usable(key)


class _Repeated:
    """Outlives whatever goes wrong, and tells of each kind of it once."""

    def __init__(self, consequence: str) -> None:
        self._consequence = consequence
        self._told = ""

    def do(self, work: Callable[[], None]) -> None:
        kind = ""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - nobody would start it again, and nobody miss it for hours
            kind = type(error).__name__
        if kind not in {"", self._told}:
            _log.warning("%s: %s", self._consequence, kind)
        self._told = kind


def _usable(key: ActiveKey) -> Signer:
    if key.signer is None:
        raise KeystoreError(key.fault or "")
    return key.signer


class Keyring:
    def __init__(self, database: Database, keystores: Keystores, clock: Clock) -> None:
        self._database = database
        self._keystores = keystores
        self._clock = clock
        self._snapshot: KeySnapshot | None = None
        self._looks = count(1)
        self._seen_at = 0
        renewed_in_children(self, Keyring._unlock)
        self._unlock()
        self._follower: int | None = None
        self._follows = False
        self._beside: Callable[[], None] = lambda: None

    def _unlock(self) -> None:
        self._lock = threading.Lock()

    def current(self) -> KeySnapshot:
        """From memory; read from the database and the keystore the first time.

        ``KeystoreError`` then, if there is nothing to sign with; ``SQLAlchemyError`` without a database.
        """
        if self._follows and self._follower != os.getpid():
            self._start_following()
        if (snapshot := self._snapshot) is None:
            look = next(self._looks)
            snapshot = self._read()
            _usable(snapshot.actives[ALWAYS])
            return self._kept(snapshot, look)
        return snapshot

    def refresh(self) -> None:
        """Reads anew. A private half that cannot be had any more stops the signing, not the publishing."""
        look = next(self._looks)
        self._kept(self._read(), look)

    def follow(self, beside: Callable[[], None] = lambda: None) -> None:
        """From now on changes are in memory within ``FOLLOWS_WITHIN_SECONDS``, in forks too.

        ``beside`` is done as often, whether or not they come in.
        """
        self._follows = True
        self._beside = beside
        self._start_following()

    def history(self) -> Sequence[SigningKey]:
        """Every key there ever was, the newest publication first."""
        with self._database.reading() as session:
            return session.scalars(
                select(SigningKey).order_by(SigningKey.published_at.desc(), SigningKey.state)
            ).all()

    def _kept(self, snapshot: KeySnapshot, look: int) -> KeySnapshot:
        """Unless a look that began later was faster: a slow one must not bring a revoked key back."""
        with self._lock:
            seen = self._snapshot
            if seen is None or look > self._seen_at:
                self._seen_at = look
                if seen is None or seen.has_fault or snapshot.rows != seen.rows:
                    self._snapshot = seen = snapshot
            return seen

    def _start_following(self) -> None:
        self._follower = os.getpid()
        threading.Thread(target=self._follow, name="keyring", daemon=True).start()

    def _follow(self) -> None:
        """At once: a process that nobody has asked yet must not need the database when it is gone."""
        following, beside = _Repeated("the key set is kept as it is"), _Repeated("counts are kept")
        while True:
            following.do(self.refresh)
            beside.do(self._beside)
            time.sleep(_EVERY_SECONDS)

    def _read(self) -> KeySnapshot:
        """Again if a rotation destroyed what was about to be opened."""
        rows = self._published()
        while True:
            snapshot = self._opened(rows)
            if not snapshot.has_fault:
                return snapshot
            rows = self._published()
            if rows == snapshot.rows:
                return snapshot

    def _published(self) -> Sequence[_Row]:
        columns = (
            SigningKey.kid,
            SigningKey.alg,
            SigningKey.state,
            SigningKey.keystore,
            SigningKey.reference,
            SigningKey.public_jwk,
            SigningKey.published_at,
            SigningKey.activated_at,
        )
        published = select(*columns).where(SigningKey.state.in_(PUBLISHED))
        with self._database.reading_connection() as connection:
            return connection.execute(published.order_by(SigningKey.published_at, SigningKey.kid)).all()

    def _opened(self, rows: Sequence[_Row]) -> KeySnapshot:
        actives = {row.alg: self._active(row) for row in rows if row.state == KeyState.ACTIVE}
        if ALWAYS not in actives:
            raise KeystoreError("there is no active signing key: run countersign init")
        return KeySnapshot(actives, tuple(row.public_jwk for row in rows), rows[-1].kid, rows)

    def _active(self, row: _Row) -> ActiveKey:
        """What is open stays open: a key is opened once, and a move needs no restart."""
        seen = self._snapshot
        open_now = seen.actives.get(row.alg) if seen else None
        rows = seen.rows if seen else ()
        same = next((old for old in rows if (old.kid, old.keystore) == (row.kid, row.keystore)), None)
        if open_now is None or open_now.kid != row.kid or open_now.signer is None:
            return self._open(row, None)
        if same is None or open_now.fault:
            return self._open(row, open_now.signer)
        return ActiveKey(row.kid, row.activated_at, open_now.signer)

    def _open(self, row: _Row, otherwise: Signer | None) -> ActiveKey:
        try:
            store = self._keystores[row.keystore]
            key = store.signing_key(row.kid, Algorithm(row.alg), row.reference)
            signer = Signer(row.public_jwk, key, is_remote=store.is_remote)
        except KeystoreError as error:
            return ActiveKey(row.kid, row.activated_at, otherwise, str(error))
        return ActiveKey(row.kid, row.activated_at, signer)
