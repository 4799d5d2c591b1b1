"""Moving private keys: they stay the same keys, and no crash loses one or leaves one behind."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import select

import app.signing.keystores.moving
from app.ledger.models import AuditRow
from app.signing.algorithms import Algorithm, verifier
from app.signing.keystores import KeystoreError, KeystoreName, Keystores
from app.signing.keystores.checking import faults
from app.signing.keystores.models import SealedKey
from app.signing.keystores.moving import Mover
from app.signing.making import Maker
from tests.support.components import OPERATOR, ManualClock
from tests.support.keystores import Shelf, new_kek

FILES, DATABASE, TRANSIT = KeystoreName
CONTENT = b"header.payload"
WAYS = [(FILES, DATABASE), (DATABASE, FILES), (FILES, TRANSIT), (DATABASE, TRANSIT)]


class House:
    """An installation's keystores over one database, with one key that will sign."""

    def __init__(self, database, folder: Path, tenancy) -> None:
        self.database, self.clock = database, ManualClock()
        kek = new_kek()
        self.shelves = {
            name: Shelf(name, database, self.clock, folder, kek, tenancy) for name in KeystoreName
        }
        self.bury()

    def bury(self) -> None:
        self.shelves[FILES].bury()

    def keystores(self, current=FILES) -> Keystores:
        return Keystores(current, {name: shelf.opened for name, shelf in self.shelves.items()})

    def mover(self) -> Mover:
        return Mover(self.database, self.keystores(), self.clock)

    def key_in(self, name, state="next", alg=Algorithm.ES256):
        key = self.shelves[name].make(alg)
        self.shelves[name].publish(key, state)
        self.shelves[name].opened().confirm(key.kid)
        return key

    def restart(self, current=FILES) -> None:
        """What a start does about what was left, some time later."""
        self.clock.advance(minutes=11)
        Maker(self.database, self.keystores(current), self.clock, 2048).heal(OPERATOR)
        self.mover().finish()

    def place_of(self, key) -> str:
        return self.shelves[FILES].row(key.kid).keystore

    def signs(self, key) -> bool:
        row = self.shelves[FILES].row(key.kid)
        signer = self.keystores()[row.keystore].signing_key(row.kid, Algorithm(row.alg), row.reference)
        return verifier(row.public_jwk)(signer.sign(CONTENT), CONTENT)

    def holds(self, name, key) -> bool:
        """Whether the keystore would still give the private half away."""
        try:
            self.keystores()[name].private_key(key.kid, key.alg)
        except KeystoreError:
            return False
        return True

    def left_over(self) -> list[str]:
        self.clock.advance(minutes=11)
        return [each for shelf in self.shelves.values() for each in shelf.opened().unconfirmed()]


@pytest.fixture
def house(key_database, tmp_path, transit_tenancy) -> House:
    return House(key_database, tmp_path, transit_tenancy)


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_a_moved_key_is_the_same_key_elsewhere_and_nowhere_else(house, source, target):
    key = house.key_in(source)
    before = house.shelves[source].row(key.kid)
    moves = house.mover().move(target, OPERATOR)
    after = house.shelves[source].row(key.kid)
    assert (moves.moved, moves.staying) == ((key.kid,), ())
    assert (after.keystore, after.state, after.public_jwk) == (target, before.state, before.public_jwk)
    assert after.published_at == before.published_at, "its lead does not begin anew"
    assert house.signs(key)
    assert not house.holds(source, key)
    assert house.left_over() == []


def test_what_is_there_already_stays_there(house):
    key = house.key_in(DATABASE)
    assert house.mover().move(DATABASE, OPERATOR).moved == ()
    assert house.signs(key)


def test_nothing_comes_out_of_transit(house):
    key = house.key_in(TRANSIT)
    for target in (FILES, DATABASE):
        moves = house.mover().move(target, OPERATOR)
        assert (moves.moved, moves.staying) == ((), (key.kid,))
    assert house.place_of(key) == TRANSIT
    assert house.signs(key)


def test_a_key_that_signs_no_more_is_not_moved(house):
    key = house.key_in(FILES, state="retired")
    assert house.mover().move(DATABASE, OPERATOR).moved == ()
    assert house.place_of(key) == FILES


def test_it_is_in_the_ledger(house):
    key = house.key_in(FILES)
    house.mover().move(DATABASE, OPERATOR)
    with house.database.reading() as session:
        [row] = session.scalars(select(AuditRow).where(AuditRow.kid == key.kid)).all()
    assert (row.action, row.detail) == ("keys:signing_key:move", {"from": "files", "to": "database"})


def test_a_target_that_fails_leaves_everything_where_it_was(house, tmp_path):
    key = house.key_in(DATABASE)
    (tmp_path / "keys-are-no-folder").write_text("")
    house.shelves[FILES] = Shelf(
        FILES, house.database, house.clock, tmp_path / "keys-are-no-folder", new_kek(), None
    )
    with pytest.raises(KeystoreError, match="keys-are-no-folder cannot be used"):
        house.mover().move(FILES, OPERATOR)
    assert house.place_of(key) == DATABASE
    assert house.signs(key)


def test_a_key_that_a_node_does_not_find_is_told_by_doctor(house, tmp_path):
    key = house.key_in(FILES)
    assert list(faults([house.shelves[FILES].row(key.kid)], house.keystores())) == []
    (tmp_path / f"{key.kid}.pem").unlink()
    [fault] = faults([house.shelves[FILES].row(key.kid)], house.keystores())
    assert "COUNTERSIGN_KEYSTORE=database or transit" in fault
    assert f"make an empty file {key.kid}.pem there" in fault


def test_keys_that_are_not_where_new_ones_are_made_are_told_by_doctor(house):
    key = house.key_in(FILES)
    [fault] = faults([house.shelves[FILES].row(key.kid)], house.keystores(DATABASE))
    assert "keys are in files, and new ones are made in database" in fault


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_two_who_move_it_at_once_move_it_once_and_lose_nothing(house, source, target):
    for _ in range(5):
        key = house.key_in(source)
        with ThreadPoolExecutor() as pool:
            both = [pool.submit(house.mover().move, target, OPERATOR) for _ in range(2)]
        assert sum(len(each.result().moved) for each in both if each.exception() is None) == 1
        assert house.signs(key)
        assert house.place_of(key) == target
        house.restart()
        assert house.signs(key)
        assert not house.holds(source, key)
        house.bury()


def test_an_original_is_kept_while_its_copy_does_not_sign(house):
    """Whatever went wrong with the copy, there is something to go back to."""
    key = house.key_in(FILES)
    house.mover().move(DATABASE, OPERATOR)
    with house.database.writing() as session:
        [row] = session.scalars(select(SealedKey).where(SealedKey.kid == key.kid))
        row.ciphertext = row.ciphertext[::-1]
    original = house.shelves[FILES].folder / f"{key.kid}.pem"
    original.write_text("the file that a stopped move had left")
    house.restart()
    assert original.exists()


@pytest.mark.parametrize(("source", "target"), [(FILES, DATABASE), (DATABASE, FILES)])
def test_what_a_stopped_move_left_is_found_where_no_row_says_any_more(house, source, target):
    """Its only key is in the target, which new ones are made in as well."""
    key = house.key_in(source)
    original = house.keystores()[source].private_key(key.kid, key.alg)
    house.mover().move(target, OPERATOR)
    with house.shelves[source].opened().making_keys():
        house.shelves[source].opened().adopt(original, key.alg)
    house.restart(current=target)
    assert not house.holds(source, key)
    assert house.signs(key)


def test_no_key_is_moved_into_a_directory_that_lacks_those_that_sign(house, tmp_path):
    """Such as another machine's, or that of another working directory."""
    house.key_in(FILES, alg=Algorithm.EDDSA)
    key = house.key_in(DATABASE)
    house.shelves[FILES] = replace(house.shelves[FILES], folder=tmp_path / "other")
    with pytest.raises(KeystoreError, match="set COUNTERSIGN_KEYS_DIR to the directory that has them"):
        house.mover().move(FILES, OPERATOR)
    assert house.place_of(key) == DATABASE
    assert house.signs(key)


class Crash(BaseException):
    pass


class CrashAt:
    """Within its `with`, the statement of that number of the module that moves is never reached."""

    FILE = app.signing.keystores.moving.__file__

    def __init__(self, number: int) -> None:
        self.left = number

    def __enter__(self) -> Self:
        self.before = sys.gettrace()
        sys.settrace(self.enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def enter(self, frame, _event, _argument):
        return self.step if frame.f_code.co_filename == self.FILE else None

    def step(self, _frame, event, _argument):
        if event == "line":
            if self.left == 0:
                raise Crash
            self.left -= 1
        return self.step


@pytest.mark.slow
@pytest.mark.parametrize(("source", "target"), WAYS)
def test_a_crash_before_any_statement_heals(house, source, target):
    """With the next start no key is lost and none is in two places; moved again, all are in the target."""
    for number in range(1000):
        key = house.key_in(source)
        with CrashAt(number):
            try:
                house.mover().move(target, OPERATOR)
                crashed = False
            except Crash:
                crashed = True
        assert house.signs(key), number
        house.restart()
        place = house.place_of(key)
        assert house.signs(key), number
        assert not [name for name in {FILES, DATABASE} - {place} if house.holds(name, key)], number
        assert house.left_over() == [], number
        house.mover().move(target, OPERATOR)
        assert house.place_of(key) == target
        assert house.signs(key), number
        if not crashed:
            break
        house.bury()
    assert number > 20, "there were statements to crash at"
