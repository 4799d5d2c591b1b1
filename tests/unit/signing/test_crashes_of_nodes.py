"""Nodes that share a PostgreSQL, or seal their keys in the database: killed at any statement, or at once."""

import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import make_url, select

from app.ledger.record import Actor
from app.settings import Settings
from app.signing.algorithms import Algorithm
from app.signing.keystores import KeystoreName
from app.signing.keystores.models import SealedKey
from app.signing.lifecycle import AnotherWasFaster, Lifecycle
from app.signing.transitions import withdraw
from app.wiring import Components
from tests.support.components import NOW, OPERATOR, ManualClock, settings_for
from tests.support.crash import End, killed_before
from tests.support.postgresql import Cluster
from tests.support.together import together
from tests.unit.signing.keysets import (
    LIVING,
    assert_no_key_signed_early,
    assert_one_pair_of_each,
    assert_private_halves,
    assert_published,
    assert_told,
    key,
    states,
    told,
)
from tests.unit.signing.test_lifecycle import ACTS, DAY

pytestmark = pytest.mark.slow
RS256 = Algorithm.RS256
KEK = b64encode(bytes(32)).decode()
NODE = Actor(name="operator:node")
FILES, DATABASE = KeystoreName.FILES, KeystoreName.DATABASE


@dataclass(frozen=True)
class Template:
    """An installation after its first start, to be copied."""

    folder: Path
    url: str | None
    keystore: KeystoreName
    cluster: Cluster | None

    def settings(self, folder: Path, url: str | None) -> Settings:
        return settings_for(folder, url, KEYSTORE=self.keystore, KEY_ENCRYPTION_KEY=KEK)

    @contextmanager
    def copy(self, folder: Path) -> Iterator[Settings]:
        shutil.copytree(self.folder, folder)
        if self.cluster is None:
            yield self.settings(folder, None)
            return
        with self.cluster.database() as url:
            name = make_url(url).database
            self.cluster.execute(f'DROP DATABASE "{name}"')
            self.cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{make_url(self.url).database}"')
            yield self.settings(folder, url)


@contextmanager
def template(
    folder: Path, keystore: KeystoreName, cluster: Cluster | None, url: str | None = None
) -> Iterator[Template]:
    made = Template(folder, url, keystore, cluster)
    components = Components(made.settings(folder, url), ManualClock())
    components.prepare(OPERATOR)
    components.database.dispose()
    yield made


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory) -> Iterator[Template]:
    with template(tmp_path_factory.mktemp("sqlite"), DATABASE, None) as made:
        yield made


@pytest.fixture(scope="module")
def on_postgresql(tmp_path_factory, postgresql) -> Iterator[dict[KeystoreName, Template]]:
    """One for each keystore of its own."""
    folder = tmp_path_factory.mktemp("postgresql")
    with (
        postgresql.database() as one,
        postgresql.database() as other,
        template(folder / FILES, FILES, postgresql, one) as files,
        template(folder / DATABASE, DATABASE, postgresql, other) as database,
    ):
        yield {FILES: files, DATABASE: database}


def sealed(components: Components) -> set[str]:
    with components.database.reading() as session:
        return set(session.scalars(select(SealedKey.kid)))


def assert_whole(components: Components, clock: ManualClock) -> None:
    """As `keysets` has it. What a crash left in the database is thrown away when it is ten minutes old."""
    assert_one_pair_of_each(components)
    assert_published(components)
    assert_no_key_signed_early(components)
    assert_told(components)
    clock.advance(minutes=11)
    components.lifecycle.ensure_keys(OPERATOR)
    rows = components.keyring.history()
    living = {row.kid for row in rows if row.state in LIVING}
    in_database = {row.kid for row in rows if row.state in LIVING and row.keystore == DATABASE}
    assert {row.kid for row in rows if row.destroyed_at is None} == living
    assert sealed(components) == in_database
    if not in_database:
        assert_private_halves(components, components.settings.keys_dir)
    assert components.keyring.current().active.kid == key(components, "active").kid


def assert_heals(act: Callable[[Lifecycle], object], settings: Settings) -> None:
    """`kill -9` before the first statement, the second, …, until it gets through, on one installation."""
    clock = ManualClock(NOW + DAY)
    for step in count(1):
        end = killed_before(step, lambda: act(Components(settings, clock).lifecycle))
        after = Components(settings, clock)
        after.lifecycle.ensure_keys(OPERATOR)
        after.mover.finish()
        assert_whole(after, clock)
        forget(after, clock)
        after.database.dispose()
        if end is End.DONE:
            break
    assert step > 10


def forget(components: Components, clock: ManualClock) -> None:
    """What was done is long ago, and of no algorithm but RS256."""
    with components.database.writing() as session:
        withdraw(session, Algorithm.ES256, OPERATOR, clock())
    clock.advance(days=2)
    components.upkeep.keep()


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_crash_heals_on_postgresql_with_sealed_keys(act, on_postgresql, tmp_path):
    with on_postgresql[DATABASE].copy(tmp_path / "it") as settings:
        assert_heals(act, settings)


def test_a_crashed_rotation_heals_on_postgresql_with_files(on_postgresql, tmp_path):
    with on_postgresql[FILES].copy(tmp_path / "it") as settings:
        assert_heals(ACTS["rotate"], settings)


def test_a_crashed_rotation_heals_on_sqlite_with_sealed_keys(on_sqlite, tmp_path):
    with on_sqlite.copy(tmp_path / "it") as settings:
        assert_heals(ACTS["rotate"], settings)


def opened(folder: str, url: str, keystore: str) -> Components:
    settings = settings_for(Path(folder), url, KEYSTORE=keystore, KEY_ENCRYPTION_KEY=KEK)
    return Components(settings, ManualClock(NOW + DAY))


def rotate(where: tuple[str, str, str], expected: str) -> None:
    with suppress(AnotherWasFaster):
        opened(*where).lifecycle.rotate(RS256, NODE, expected=expected)


def move(where: tuple[str, str, str], target: KeystoreName) -> None:
    opened(*where).mover.move(target, NODE)


@contextmanager
def place(made: Template, folder: Path) -> Iterator[tuple[str, str, str]]:
    """For a process to open: a secret is never pickled."""
    with made.copy(folder) as settings:
        yield str(folder), settings.database_url.reveal(), settings.keystore


def test_nodes_that_rotate_at_once_make_one_rotation(on_postgresql, tmp_path):
    with place(on_postgresql[DATABASE], tmp_path / "it") as where:
        after = opened(*where)
        expected = key(after, "active").kid
        after.database.dispose()
        assert together(4, rotate, where, expected) == [0] * 4
        assert len(told(after, "rotate")) == 1
        assert sorted(states(after)) == ["active", "next", "retired"]
        assert_whole(after, after.clock)
        after.database.dispose()


@pytest.mark.parametrize(("source", "target"), [(FILES, DATABASE), (DATABASE, FILES)])
def test_nodes_that_move_keys_at_once_lose_none(on_postgresql, tmp_path, source, target):
    with place(on_postgresql[source], tmp_path / "it") as where:
        assert together(4, move, where, target) == [0] * 4
        after = opened(*where)
        assert {row.keystore for row in after.keyring.history()} == {target}
        assert len(told(after, "move")) == 2
        assert_whole(after, after.clock)
        after.database.dispose()
