"""A private key from elsewhere: what is read, what it signs, and what is refused without repeating it."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from app.errors import InvalidInput
from app.secret import Secret
from app.signing.algorithms import Algorithm
from app.signing.importing import PassphraseNeeded, algorithm_of, read_private_key

PASSPHRASE = "canary passphrase"


def rsa_key(bits=2048, exponent=65537):
    return rsa.generate_private_key(public_exponent=exponent, key_size=bits)


RSA = rsa_key()
P256 = ec.generate_private_key(ec.SECP256R1())
FIT = {
    "RSA": (RSA, Algorithm.RS256),
    "P-256": (P256, Algorithm.ES256),
    "P-384": (ec.generate_private_key(ec.SECP384R1()), Algorithm.ES384),
    "Ed25519": (Ed25519PrivateKey.generate(), Algorithm.EDDSA),
}


def pem(key, form=PrivateFormat.PKCS8, passphrase: str | None = None) -> bytes:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, encryption)


@pytest.mark.parametrize("name", FIT)
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_key_that_is_fit_signs_what_its_kind_signs(name, passphrase):
    key, algorithm = FIT[name]
    read = read_private_key(pem(key, passphrase=passphrase), Secret(passphrase) if passphrase else None)
    assert algorithm_of(read) is algorithm
    assert read.public_key() == key.public_key()


@pytest.mark.parametrize("key", [RSA, P256])
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_the_old_forms_of_openssl_are_read_too(key, passphrase):
    content = pem(key, PrivateFormat.TraditionalOpenSSL, passphrase)
    assert read_private_key(content, Secret(passphrase) if passphrase else None)


def test_an_rsa_key_may_sign_ps256():
    assert algorithm_of(RSA, Algorithm.PS256) is Algorithm.PS256


@pytest.mark.parametrize(
    ("key", "wanted"),
    [(RSA, Algorithm.ES256), (P256, Algorithm.ES384), (P256, Algorithm.RS256), (P256, Algorithm.EDDSA)],
)
def test_a_key_does_not_sign_another_kinds_algorithm(key, wanted):
    with pytest.raises(InvalidInput, match="does not sign"):
        algorithm_of(key, wanted)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (rsa_key(1024), "2048, 3072 or 4096 bits"),
        (rsa_key(2056), "2048, 3072 or 4096 bits"),
        (rsa_key(exponent=3), "exponent 65537"),
        (ec.generate_private_key(ec.SECP521R1()), "secp521r1"),
        (ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
        (ec.generate_private_key(ec.BrainpoolP256R1()), "brainpoolP256r1"),
        (dsa.generate_private_key(2048), "a DSA key signs no token"),
        (ed448.Ed448PrivateKey.generate(), "signs no token"),
        (x25519.X25519PrivateKey.generate(), "signs no token"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_a_key_that_verifiers_would_not_take_is_refused(key, words):
    with pytest.raises(InvalidInput, match=words):
        algorithm_of(read_private_key(pem(key)))


class TestThePassphrase:
    def test_is_asked_for(self):
        with pytest.raises(PassphraseNeeded, match="give its passphrase"):
            read_private_key(pem(P256, passphrase=PASSPHRASE))

    def test_that_is_wrong_is_told_and_not_repeated(self):
        wrong = "another canary"
        with pytest.raises(InvalidInput, match="the passphrase is wrong") as refused:
            read_private_key(pem(P256, passphrase=PASSPHRASE), Secret(wrong))
        assert wrong not in repr(refused.value)

    def test_that_is_not_needed_is_told(self):
        with pytest.raises(InvalidInput, match="is not encrypted"):
            read_private_key(pem(P256), Secret(PASSPHRASE))


PUBLIC = P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"canary",
        PUBLIC,
        pem(P256)[:-60],
        pem(RSA).replace(b"A", b"B"),
        pem(RSA).replace(b"PRIVATE", b"SECRET"),
    ],
    ids=["empty", "no PEM", "public", "cut off", "altered", "mislabelled"],
)
def test_what_is_no_private_key_is_refused_and_not_repeated(content):
    with pytest.raises(InvalidInput, match="no private key in PEM") as refused:
        read_private_key(content)
    assert "canary" not in str(refused.value)
    assert not [line for line in content.decode().splitlines()[1:-1] if line in str(refused.value)]
