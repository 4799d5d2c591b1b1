"""Each algorithm signs what libraries that share no code with ours verify; nothing else fits."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import KeySet

from app.errors import InvalidInput
from app.signing.algorithms import RSA_SIZES, Algorithm, LocalSigner, generate, public_jwk, verifier
from app.signing.signer import Signer

KEYS = {algorithm: generate(algorithm) for algorithm in Algorithm}
JWKS = {algorithm: public_jwk(key.public_key(), algorithm) for algorithm, key in KEYS.items()}
MEMBERS = {
    "RS256": {"n", "e"},
    "PS256": {"n", "e"},
    "ES256": {"crv", "x", "y"},
    "ES384": {"crv", "x", "y"},
    "EdDSA": {"crv", "x"},
}
every_algorithm = pytest.mark.parametrize("algorithm", Algorithm)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
@every_algorithm
@given(claims=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_another_library_verifies_it(algorithm, claims):
    token = Signer(JWKS[algorithm], LocalSigner(KEYS[algorithm], algorithm)).sign("JWT", claims).reveal()
    read = jws.deserialize_compact(token, KeySet.import_key_set({"keys": [*JWKS.values()]}), list(Algorithm))
    assert json.loads(read.payload) == claims
    assert read.headers() == {"alg": algorithm.value, "kid": JWKS[algorithm]["kid"], "typ": "JWT"}


@every_algorithm
@given(content=st.binary(max_size=50), data=st.data())
def test_one_bit_more_or_less_is_another_signature(algorithm, content, data):
    signature, verify = LocalSigner(KEYS[algorithm], algorithm).sign(content), verifier(JWKS[algorithm])
    assert verify(signature, content)
    position = data.draw(st.integers(0, len(signature) * 8 - 1))
    changed = bytearray(signature)
    changed[position // 8] ^= 1 << position % 8
    assert not verify(bytes(changed), content)
    assert not verify(signature, content + b"x")
    assert not verify(signature[:-1], content)
    assert not verify(b"", content)


@pytest.mark.parametrize("one", Algorithm)
@pytest.mark.parametrize("other", Algorithm)
def test_no_algorithm_takes_anothers_signature(one, other):
    signature = LocalSigner(KEYS[one], one).sign(b"content")
    assert verifier(JWKS[other])(signature, b"content") == (one is other)


@every_algorithm
def test_a_published_key_has_what_verifiers_take_and_no_more(algorithm):
    assert JWKS[algorithm].keys() == {"kty", "kid", "use", "alg"} | MEMBERS[algorithm]
    assert (JWKS[algorithm]["use"], JWKS[algorithm]["alg"]) == ("sig", algorithm.value)


@every_algorithm
@pytest.mark.spec("RFC 7638", "3", "SHA-256 over the required members, in order, without whitespace.")
def test_the_kid_is_the_thumbprint_by_another_library_too(algorithm):
    [key] = KeySet.import_key_set({"keys": [JWKS[algorithm]]}).keys
    assert key.thumbprint() == JWKS[algorithm]["kid"]


@pytest.mark.parametrize("bits", RSA_SIZES)
def test_rsa_comes_in_three_sizes(bits):
    assert generate(Algorithm.RS256, bits).key_size == bits


def test_a_small_rsa_key_is_refused():
    from cryptography.hazmat.primitives.asymmetric import rsa

    for bits, exponent in ((1024, 65537), (2048, 3)):
        key = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
        with pytest.raises(InvalidInput, match="2048, 3072 or 4096"):
            public_jwk(key.public_key(), Algorithm.RS256)


@pytest.mark.parametrize("key", KEYS.values())
@every_algorithm
def test_a_key_signs_with_its_own_algorithm_alone(key, algorithm):
    own = {each for each, made in KEYS.items() if type(made) is type(key)}
    if isinstance(key, type(KEYS[Algorithm.ES256])):
        own = {each for each in own if KEYS[each].curve.name == key.curve.name}
    if algorithm in own:
        assert public_jwk(key.public_key(), algorithm)
    else:
        with pytest.raises(InvalidInput):
            public_jwk(key.public_key(), algorithm)
        with pytest.raises(InvalidInput):
            LocalSigner(key, algorithm)
