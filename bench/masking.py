"""In this process: a log through the masker of a run that has ten tokens and a few secrets."""

from base64 import encodebytes
from random import Random
from secrets import token_urlsafe

from app.masking import Masker
from app.secret import Secret
from bench.rounds import Contestant

MASKING = "A megabyte of log, masked"
MEGABYTE = 1_000_000
_WRITE = 65_536
_LINE = (
    '2026-11-22T10:00:00Z INFO [worker-{0}] \x1b[32mcompiling\x1b[0m src/module_{1}.c {{"seconds": 0.{1}}}\n'
)


def masked(count: int) -> Contestant:
    """One operation is a megabyte: lines with colours, some base64, a secret in one line of a hundred."""
    masker, secret = Masker(), token_urlsafe(32)
    masker.add(Secret(secret), "SECRET")
    for number in range(10):
        token = ".".join(["eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9", token_urlsafe(600), token_urlsafe(256)])
        masker.add_token(Secret(token), f"TOKEN_{number}")
    log = _log(secret)

    def mask(times: int) -> None:
        for _ in range(times):
            stream = masker.stream()
            for at in range(0, len(log), _WRITE):
                stream.feed(log[at : at + _WRITE])
            stream.close()

    return Contestant(MASKING, count, mask)


def _log(secret: str) -> bytes:
    rng = Random(1)
    said = bytearray()
    number = 0
    while len(said) < MEGABYTE:
        number += 1
        said += _LINE.format(number % 7, number).encode()
        if number % 100 == 0:
            said += f"password: {secret}\n".encode()
        if number % 10 == 0:
            said += encodebytes(rng.randbytes(57))
    return bytes(said[:MEGABYTE])
