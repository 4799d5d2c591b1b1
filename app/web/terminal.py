"""Output of programs as a page shows it: colours as classes (ECMA-48 §8.3.117), other control away."""

import re
from dataclasses import dataclass

_CONTROL = re.compile(
    r"\x1b\[([0-?]*)[ -/]*([@-~])"  # a control sequence, of which SGR ends in m
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # an operating system command, such as a title or a link
    r"|\x1b[PX^_][^\x1b]*\x1b\\"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f]|\r(?=\n)"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,200}|[ -/]*)?$")
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_STATE = re.compile(r"b?(?:[0-7])?", re.ASCII)


@dataclass(frozen=True)
class Run:
    """Text of one look; ``looks`` are classes of the stylesheet."""

    text: str
    looks: str


@dataclass(frozen=True)
class Piece:
    """Of a log, from the byte ``start`` to ``end``; ``colour`` is how it goes on, for the next one."""

    runs: list[Run]
    start: int
    end: int
    colour: str

    @property
    def text(self) -> str:
        return "".join(run.text for run in self.runs)

    @classmethod
    def of(cls, text: str, start: int, end: int, colour: str = "") -> "Piece":
        """``end`` is after ``text``; a sequence that is cut off comes whole with the next piece."""
        if (cut := _UNFINISHED.search(text)) is not None and cut.start() > 0:
            end -= len(cut[0].encode())
            text = text[: cut.start()]
        runs, state = _render(text, colour if _STATE.fullmatch(colour) else "")
        return cls(runs, start, end, state)


def whole_lines(content: bytes, start: int, *, is_first: bool) -> Piece:
    """From the first line that begins in it, unless the first byte begins one or there is no other."""
    skipped = 0 if is_first else content.find(b"\n") + 1
    begins = start + skipped
    return Piece.of(content[skipped:].decode(errors="replace"), begins, start + len(content))


def _render(text: str, state: str) -> tuple[list[Run], str]:
    runs: list[Run] = []
    at = 0
    for control in _CONTROL.finditer(text):
        _add(runs, text[at : control.start()], state)
        at = control.end()
        if control[2] == "m":
            state = _after(state, control[1])
    _add(runs, text[at:], state)
    return runs, state


def _add(runs: list[Run], text: str, state: str) -> None:
    if not text:
        return
    looks = " ".join(_COLOURS_OF[letter] for letter in state)
    if runs and runs[-1].looks == looks:
        runs[-1] = Run(runs[-1].text + text, looks)
    else:
        runs.append(Run(text, looks))


_COLOURS_OF = {"b": "said-bold"} | {str(n): f"said-{name}" for n, name in enumerate(_COLOURS)}


def _after(state: str, parameters: str) -> str:
    """``b`` for bold and the digit of a colour; whatever else there is, such as backgrounds, is left out."""
    bold, colour = "b" in state, state.removeprefix("b")
    given = iter(parameters.split(";"))
    for parameter in given:
        match parameter:
            case "" | "0" | "00":
                bold, colour = False, ""
            case "1" | "01":
                bold = True
            case "22":
                bold = False
            case "39":
                colour = ""
            case "38" | "48":  # of 256 colours, or of all: too many for classes that one can read
                for _ in range({"5": 1, "2": 3}.get(next(given, ""), 0)):
                    next(given, None)
            case _ if re.fullmatch(r"[39][0-7]", parameter, re.ASCII):
                colour = parameter[1]
    return ("b" if bold else "") + colour
