"""Finds any few characters in a row of many strings, in time that hardly depends on how many there are."""

from itertools import compress, count

from app.masking.spans import Span

_WORD = 4


class Windows:
    """Every ``size`` bytes in a row of the strings: *windows*, of a multiple of four, eight at least.

    Text is read in aligned words of four bytes. A window covers one of them wholly, at an offset of 0 to 3
    from its start; so it shows as a word known from there.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._windows: set[bytes] = set()
        self._public: set[bytes] = set()  # those that are public wherever they come from
        self._words: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._windows)

    def add(self, hiding: set[bytes], public: set[bytes]) -> None:
        """``public`` ones hide nothing alone, only next to others."""
        new = b"".join((hiding | public) - self._windows)
        for offset in range(_WORD):
            self._words.update(
                memoryview(new)[offset : len(new) - _WORD + offset].cast("I")[:: self.size // _WORD]
            )
        self._public -= hiding
        self._public |= public - self._windows
        self._windows |= hiding | public

    def clear(self) -> None:
        self._windows.clear()
        self._public.clear()
        self._words.clear()

    def find(self, text: bytes) -> list[Span]:
        """Where windows stand; those that overlap are one."""
        spans = self._spans(text)
        return [span for span in spans if self._hides(text, *span)] if self._public else spans

    def _spans(self, text: bytes) -> list[Span]:
        known, size, end = self._windows, self.size, 0
        spans: list[Span] = []
        words = memoryview(text)[: len(text) & -_WORD].cast("I")
        for index in compress(count(0, _WORD), map(self._words.__contains__, words)):
            start = max(index - _WORD + 1, end - size + 1, 0)
            while start <= index:
                if text[start : start + size] in known:
                    begun = spans.pop()[0] if start < end else start
                    end = start + size
                    while text[end - size + 1 : end + 1] in known:
                        end += 1
                    spans.append((begun, end))
                    start = end - size + 1
                start += 1
        return spans

    def _hides(self, text: bytes, start: int, end: int) -> bool:
        return not self._public.issuperset(windows_of(text[start:end], self.size) & self._windows)


def windows_of(string: bytes, size: int) -> set[bytes]:
    return {string[at : at + size] for at in range(len(string) - size + 1)}
