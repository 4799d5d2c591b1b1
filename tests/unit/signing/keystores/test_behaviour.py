"""What every keystore does, for every algorithm; ``transit`` against the real OpenBao."""

import pytest

from app.errors import InvalidInput
from app.signing.algorithms import Algorithm, decoded, generate, public_jwk, verifier
from app.signing.keystores import KeystoreError, KeystoreName
from tests.support.components import PASSPHRASE

every_algorithm = pytest.mark.parametrize("alg", list(Algorithm))
CONTENT = b"eyJhbGciOiJub25lIn0.e30"
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def signs(store, key) -> bool:
    signature = store.signing_key(key.kid, key.alg, key.reference).sign(CONTENT)
    return verifier(key.public_jwk)(signature, CONTENT)


@every_algorithm
def test_what_it_makes_signs_after_a_restart_what_the_published_half_verifies(shelf, alg):
    key = shelf.make(alg)
    shelf.publish(key)
    store = shelf.opened()
    store.confirm(key.kid)
    assert signs(shelf.opened(), key)
    assert key.alg is alg
    assert key.public_jwk["kid"] == key.kid
    assert not PRIVATE_MEMBERS & key.public_jwk.keys()


@every_algorithm
def test_a_key_that_was_made_elsewhere_stays_the_same_key(shelf, alg):
    private = generate(alg)
    with shelf.opened().making_keys():
        key = shelf.opened().adopt(private, alg)
    assert key.public_jwk == public_jwk(private.public_key(), alg)
    assert signs(shelf.opened(), key)


@pytest.mark.parametrize("bits", [3072, 4096])
def test_an_rsa_key_has_the_size_that_was_asked_for(shelf, bits):
    with shelf.opened().making_keys():
        key = shelf.opened().generate(Algorithm.RS256, bits)
    assert len(decoded(key.public_jwk["n"])) * 8 == bits
    assert signs(shelf.opened(), key)


@pytest.mark.parametrize("alg", [Algorithm.RS256, Algorithm.ES384, Algorithm.EDDSA])
def test_a_key_that_does_not_fit_its_algorithm_is_not_taken_in(shelf, alg):
    with pytest.raises(InvalidInput), shelf.opened().making_keys():
        shelf.opened().adopt(generate(Algorithm.ES256), alg)


def test_a_destroyed_key_does_not_sign(shelf):
    key = shelf.make()
    shelf.publish(key)
    store = shelf.opened()
    store.confirm(key.kid)
    store.destroy(key.kid, key.reference)
    store.destroy(key.kid, key.reference)
    with pytest.raises(KeystoreError):
        signs(shelf.opened(), key)


def test_a_key_that_was_never_there_does_not_sign(shelf):
    with pytest.raises(KeystoreError) as refused:
        shelf.opened().signing_key("nothing", Algorithm.RS256, "countersign-nothing").sign(CONTENT)
    assert "nothing" in str(refused.value)


def test_confirming_twice_is_confirming_once(shelf):
    key = shelf.make()
    shelf.publish(key)
    for _ in range(2):
        shelf.opened().confirm(key.kid)
    assert signs(shelf.opened(), key)


class TestWhatACrashHasLeft:
    """Between the key and its row."""

    def test_is_found_and_can_be_destroyed(self, shelf):
        key = shelf.make()
        shelf.clock.advance(minutes=11)
        [left] = [each for each in shelf.opened().unconfirmed() if each in {key.kid, key.reference}]
        shelf.opened().destroy(left, left)
        assert left not in shelf.opened().unconfirmed()
        with pytest.raises(KeystoreError):
            signs(shelf.opened(), key)

    def test_is_no_key_that_has_its_row_and_is_confirmed(self, shelf):
        key = shelf.make()
        shelf.publish(key, "next")
        shelf.opened().confirm(key.kid)
        shelf.clock.advance(minutes=11)
        assert not {key.kid, key.reference} & set(shelf.opened().unconfirmed())
        shelf.bury()

    @pytest.mark.parametrize("shelf", [KeystoreName.DATABASE, KeystoreName.TRANSIT], indirect=True)
    def test_is_no_key_that_another_node_may_be_making(self, shelf):
        """Makers of files are of one machine, and take turns."""
        key = shelf.make()
        shelf.clock.advance(minutes=9)
        assert not {key.kid, key.reference} & set(shelf.opened().unconfirmed())

    def test_is_a_copy_whose_row_is_in_another_keystores_name(self, shelf):
        """A move that was stopped before it named the copy."""
        other = next(name for name in KeystoreName if name is not shelf.kind)
        key = shelf.make()
        shelf.publish(key, keystore=other.value)
        shelf.clock.advance(minutes=11)
        assert {key.kid, key.reference} & set(shelf.opened().unconfirmed())


class TestNothingSecret:
    def test_is_in_what_is_shown_of_the_objects(self, shelf):
        key = shelf.make()
        store = shelf.opened()
        shown = "".join(map(repr, (store, store.signing_key(key.kid, key.alg, key.reference), key)))
        for secret in self.secrets(shelf):
            assert secret not in shown

    def test_is_in_a_refusal_or_the_log(self, shelf, caplog):
        caplog.set_level(0)
        shelf.make()
        with pytest.raises(KeystoreError) as refused:
            shelf.opened().signing_key("nothing", Algorithm.RS256, "countersign-nothing").sign(CONTENT)
        for secret in (*self.secrets(shelf), "PRIVATE KEY"):
            assert secret not in str(refused.value) + caplog.text

    @staticmethod
    def secrets(shelf) -> list[str]:
        token = [shelf.tenancy.token.reveal()] if shelf.tenancy else []
        return [PASSPHRASE, shelf.kek.reveal(), *token]
