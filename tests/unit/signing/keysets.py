"""What must hold for the keys of an installation, whatever was done to it."""

from collections import Counter
from pathlib import Path

from sqlalchemy import select

from app.ledger.key import FILE_NAME as LEDGER_KEY
from app.ledger.models import AuditRow
from app.signing.models import PUBLISHED, KeyState, SigningKey
from app.signing.transitions import MOST_PUBLISHED
from app.wiring import Components

LIVING = (KeyState.ACTIVE, KeyState.NEXT)


def states(components: Components, algorithm: str = "RS256") -> list[str]:
    """Of every key there ever was, the oldest first."""
    return [row.state for row in reversed(components.keyring.history()) if row.alg == algorithm]


def key(components: Components, state: str, algorithm: str = "RS256") -> SigningKey:
    [found] = [row for row in components.keyring.history() if (row.state, row.alg) == (state, algorithm)]
    return found


def told(components: Components, action: str) -> list[AuditRow]:
    with components.database.reading() as session:
        query = select(AuditRow).where(AuditRow.action == f"keys:signing_key:{action}")
        return list(session.scalars(query.order_by(AuditRow.writer, AuditRow.seq)))


def assert_one_pair_of_each(components: Components) -> None:
    rows = components.keyring.history()
    pairs = Counter((row.alg, row.state) for row in rows if row.state in LIVING)
    algorithms = {algorithm for algorithm, _ in pairs}
    assert "RS256" in algorithms
    assert pairs == Counter((algorithm, state) for algorithm in algorithms for state in LIVING)


def assert_published(components: Components) -> None:
    """What this node shows is what the database says; never empty, never too long."""
    shown = [jwk["kid"] for jwk in components.keyring.current().public_jwks]
    assert set(shown) == {row.kid for row in components.keyring.history() if row.state in PUBLISHED}
    assert 2 <= len(shown) == len(set(shown)) <= MOST_PUBLISHED


def assert_no_key_signed_early(components: Components) -> None:
    """Unless it was of a first start, or an override is on record."""
    lead = components.settings.key_publish_lead
    excused = {row.kid for row in told(components, "rotate") if row.detail["override"]}
    for row in components.keyring.history():
        if row.activated_at is not None and not row.exempt and row.kid not in excused:
            assert row.activated_at >= row.published_at + lead


def assert_told(components: Components) -> None:
    """Each key's birth, and each end, once. (A database that was copied does not tell of the first ones.)"""
    rows = components.keyring.history()
    born = Counter(row.kid for row in told(components, "create"))
    assert born == Counter(row.kid for row in rows if row.kid in born or not row.exempt)
    for state, action in ((KeyState.REVOKED, "revoke"), (KeyState.REMOVED, "remove")):
        kids = Counter(row.kid for row in told(components, action))
        assert kids == Counter(row.kid for row in rows if row.state == state)


def assert_private_halves(components: Components, keys: Path) -> None:
    """Of what signs or will sign, and of nothing else but half of a file whose writer was killed."""
    rows = components.keyring.history()
    living = {row.kid for row in rows if row.state in LIVING}
    files = {file.name for file in keys.iterdir() if not file.name.startswith(".new-")}
    assert files - {LEDGER_KEY} == {f"{kid}.pem" for kid in living}
    assert {row.kid for row in rows if row.destroyed_at is None} == living


def assert_whole(components: Components, keys: Path) -> None:
    assert_one_pair_of_each(components)
    assert_published(components)
    assert_no_key_signed_early(components)
    assert_told(components)
    assert_private_halves(components, keys)
