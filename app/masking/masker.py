"""Holds the values that must not be seen."""

from collections.abc import Collection, Iterable
from itertools import filterfalse
from typing import NamedTuple

from app.errors import InvalidInput
from app.masking.forms import SHORTEST, forms, is_long_enough, long_forms, public
from app.masking.reading import LOOSE, STRICT, visible
from app.masking.shapes import JWT_REACH
from app.masking.stream import MaskedStream, View
from app.masking.windows import Windows, windows_of
from app.secret import Secret

_TELLING = 4
"""Characters of eight that are no blanks, quotes or backslashes: with fewer it is punctuation."""
_REPETITIONS = {bytes([byte]) * size for byte in range(256) for size in (SHORTEST, 2 * SHORTEST)}


class _Value(NamedTuple):
    name: str
    whole: Secret
    header: str


class Masker:
    """Holds the values that must not be seen, and blanks them out of text.

    Values may be added at any time: what is fed to a stream afterwards is masked.
    """

    def __init__(self) -> None:
        self._loose, self._strict = View(LOOSE, Windows(SHORTEST)), View(STRICT, Windows(SHORTEST))
        self._long = View(LOOSE, Windows(2 * SHORTEST))
        self._values: list[_Value] = []

    def __repr__(self) -> str:
        return f"Masker({len(self._values)} values)"

    @property
    def reach(self) -> int:
        """The most bytes that a stream ever holds back."""
        return JWT_REACH + 1

    def add(self, value: Secret, name: str) -> None:
        """Refuses what is too short; blanks at its ends, line breaks and PEM armour do not count."""
        self._enter(value, name, header="")

    def add_token(self, token: Secret, name: str) -> None:
        """Enters a JWT; its header alone is public (RFC 7515 §7.1)."""
        header, *rest = token.reveal().split(".")
        if len(rest) != 2 or min(map(len, (header, *rest))) < SHORTEST:  # noqa: PLR2004 - payload, signature
            raise InvalidInput(f"{name}: not a signed JWT in its compact form")
        self._enter(token, name, header)

    def forget(self, names: Collection[str]) -> None:
        """Values that are no secrets any more. Takes as long as to enter all others: forget many at once."""
        self._values = [each for each in self._values if each.name not in names]
        for view in (self._loose, self._strict, self._long):
            view.windows.clear()
        for each in self._values:
            self._look_for(each)

    def mask(self, text: str) -> str:
        """A whole short text, such as an error message."""
        stream = self.stream()
        whole = stream.feed(text.encode("utf-8", "surrogatepass")) + stream.close()
        return whole.decode("utf-8", "surrogatepass")

    def stream(self) -> MaskedStream:
        return MaskedStream((self._loose, self._strict, self._long))

    def _enter(self, value: Secret, name: str, header: str) -> None:
        text = value.reveal().strip()
        try:
            seen = visible(text.encode())
        except UnicodeEncodeError:  # it would show the value
            raise InvalidInput(f"{name}: a secret must be text that UTF-8 can carry") from None
        if not is_long_enough(text) or len(STRICT.characters(seen)) < SHORTEST:
            raise InvalidInput(
                f"{name}: a secret needs at least {SHORTEST} characters to be masked, "
                "a shorter one would blank ordinary words in the log; use a longer one"
            )
        self._values.append(_Value(name, Secret(text), header))
        self._look_for(self._values[-1])

    def _look_for(self, value: "_Value") -> None:
        """In the strict reading only what the loose one leaves something of."""
        text = value.whole.reveal()
        seen, parts = visible(text.encode()), {value.header, *public(text)}
        printed = set(map(visible, forms(text)))
        said = {visible(form) for part in parts for form in forms(part)}
        loose = set(map(LOOSE.characters, printed))
        self._add(self._loose, loose, said, seen)
        self._add(self._strict, set(map(STRICT.characters, printed)) - loose, said, seen)
        long = {LOOSE.characters(visible(form)) for form in long_forms(text)}
        self._add(self._long, long, {visible(form) for part in parts for form in long_forms(part)}, seen)

    def _add(self, view: View, strings: set[bytes], public: set[bytes], seen: bytes) -> None:
        reading, windows = view
        found = _windows_of_all(strings, windows.size)
        hiding = found - _windows_of_all(map(reading.characters, public), windows.size)
        if len(set(seen)) > 1:
            hiding -= _REPETITIONS
        if reading is STRICT and len(LOOSE.characters(seen)) >= SHORTEST:
            hiding = set(filterfalse(_is_punctuation, hiding))
        windows.add(hiding, found - hiding)


def _is_punctuation(window: bytes) -> bool:
    return len(LOOSE.characters(window)) < _TELLING


def _windows_of_all(strings: Iterable[bytes], size: int) -> set[bytes]:
    return {window for string in strings for window in windows_of(string, size)}
