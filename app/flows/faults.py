"""What is wrong with an ``agent-config.yml``: where, under which key, and what to write instead."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.errors import InvalidInput

FILE_NAME = "agent-config.yml"
MAX_FAULTS = 100
"""Found at once, unless all are asked for."""
SHOWN_FAULTS = 25
SHOWN_KEY_LENGTH = 64

Path = tuple[str | int, ...]
"""The keys and list indexes that lead to a value."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One refusal; ``line`` and ``column`` count from 1, ``key`` is a dotted path and may be empty."""

    line: int
    column: int
    key: str
    message: str

    @property
    def place(self) -> str:
        return self._place_in(FILE_NAME)

    def told(self, file: str) -> str:
        return f"{self._place_in(file)}: {self.message}"

    def __str__(self) -> str:
        return self.told(FILE_NAME)

    def _place_in(self, file: str) -> str:
        position = f"{file}:{self.line}:{self.column}"
        return f"{position}: {self.key}" if self.key else position


class ConfigurationError(InvalidInput):
    """All that could be found wrong at once, in the order of the file."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))
        super().__init__(self.told(FILE_NAME))

    def told(self, file: str, most: int | None = SHOWN_FAULTS) -> str:
        """A line for each fault, with the name that the reader has for the file; ``None``: for all."""
        shown = [fault.told(file) for fault in self.faults[:most]]
        if hidden := len(self.faults) - len(shown):
            number = f"{hidden} more" if len(self.faults) < MAX_FAULTS else f"at least {hidden} more"
            shown.append(f"{file}: and {number}; `countersign flow lint` shows all")
        return "\n".join(shown)


def dotted(path: Path) -> str:
    """``flows.fix-ci.script[0]``; each key is shortened and escaped, for terminals and logs."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_printable(part)}" for part in path)
    return text.removeprefix(".")


def _printable(key: str) -> str:
    short = key if len(key) <= SHOWN_KEY_LENGTH else f"{key[:SHOWN_KEY_LENGTH]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in short)
