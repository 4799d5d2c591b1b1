"""The forms in which a value may lie about; written down apart from the product's own list of them."""

import base64
import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote, quote_plus


def forms(value: str) -> Iterator[bytes]:
    """As it is, in URLs, JSON, hexadecimal, and base64 wherever it stands in what was encoded."""
    yield value.encode()
    yield quote(value, safe="").encode()
    yield quote_plus(value).encode()
    yield json.dumps(value)[1:-1].encode()
    yield json.dumps(value, ensure_ascii=False)[1:-1].encode()
    yield value.encode().hex().encode()
    yield value.encode().hex().upper().encode()
    for before in (b"", b"-", b"--"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(before + value.encode())[4 if before else 0 : -4]


def found_in(content: bytes, values: Iterable[str]) -> list[bytes]:
    """The forms of any value that stand there; a line of a value is a value, but for PEM's armour."""
    lines = {line for value in values for line in (value, *value.splitlines()) if len(line) >= 8}
    secret = {line for line in lines if not re.fullmatch(r"-----[^-]+-----", line)}
    return [form for line in secret for form in forms(line) if form in content]


@contextmanager
def watched_arguments() -> Iterator[set[bytes]]:
    """Every command line on this machine meanwhile, as `ps` would have shown it."""
    seen: set[bytes] = set()
    over = Event()

    def look() -> None:
        while not over.is_set():
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(process.read_bytes())
            time.sleep(0.005)

    thread = Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
