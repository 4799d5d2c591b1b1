"""Runs a page as its reader would: its files written, its servers started, its commands typed in order."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import Block, blocks
from tests.support import node_modules, openbao_build
from tests.support.process import free_port
from tests.support.require import require
from tests.support.tools import CURL, GIT, NODE, ROOT, MissingError

NEEDS = {
    "curl": lambda: CURL.find("curl").parent,
    "git": lambda: GIT.find("git").parent,
    "node": lambda: (node_modules.find(), NODE.find("node").parent)[1],
    "openbao": lambda: _bao().parent,
}


def _bao() -> Path:
    program = openbao_build.find()
    if program.name != "bao":
        raise MissingError("OpenBao", "there is a vault program, but the guide types bao: `make openbao`")
    return program


_MARK = "\x1e"
_SDK = ROOT / "sdk/python"
_WAIT = (
    f"{sys.executable} -c 'import sys, time, urllib.request as u\n"
    "for _ in range(1200):\n try: u.urlopen(sys.argv[1]); sys.exit()\n except OSError: time.sleep(0.1)\n"
    "sys.exit(1)' {url}"
)


@dataclass(frozen=True)
class Typed:
    """One thing typed, and what the page says comes of it (``None``: the page does not say)."""

    place: str
    command: str
    shown: str | None = None


def run(page: Path, folder: Path) -> None:
    """Up to the first block that needs what this machine lacks; there the test is skipped."""
    moves = _moves("localhost:8000", "localhost:8080", "127.0.0.1:8200")
    wanted: list[Block] = []
    lacking: list[str] = []
    path = [str(Path(sys.executable).parent)]
    for block in blocks(page):
        need = block.mark("needs")
        try:
            path += [str(NEEDS[need]())] if need else []
        except MissingError:
            lacking.append(need or "")
        if not lacking:
            wanted.append(block)
    _try([each for block in wanted for each in _typed(block, folder, moves)], folder, path, moves)
    for name in lacking:
        require(NEEDS[name])


def run_commands(shown: Mapping[str, str], folder: Path) -> None:
    """Commands, each with what a page shows of it."""
    typed = [Typed(command, command, text) for command, text in shown.items()]
    _try(typed, folder, [str(Path(sys.executable).parent)], _moves("localhost:8000"))


def _try(typed: list[Typed], folder: Path, path: list[str], moves: dict[str, str]) -> None:
    said = _type(typed, folder, [*path, os.environ["PATH"]], moves)
    for each, words in zip(typed, said, strict=True):
        assert each.shown is None or _matches(_moved(each.shown, moves), words), (
            f"{each.place} shows\n{each.shown}\nbut it says\n{words}"
        )


def _typed(block: Block, folder: Path, moves: dict[str, str]) -> Iterator[Typed]:
    if "no-run" in block.marks:
        return
    if name := block.mark("file"):
        (folder / name).write_text(_moved(block.text, moves))
        if block.language == "js" and not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(node_modules.FOLDER / "node_modules")
    elif block.language == "sh" and (url := block.mark("server")):
        log = f"server-{block.line}.log"
        wait = _WAIT.replace("{url}", url)
        yield Typed(str(block), f"{block.text.rstrip()} > {log} 2>&1 &\n{wait} || {{ cat {log}; false; }}")
    elif block.language == "sh":
        yield Typed(str(block), block.text)
    elif block.language == "console":
        for command, shown in re.findall(
            r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE
        ):
            yield Typed(f"{block} `{command}`", command, shown)


def _type(typed: list[Typed], folder: Path, path: list[str], moves: dict[str, str]) -> list[str]:
    """What each said, stdout and stderr together."""
    setup = "set -euo pipefail\ntrap 'jobs -p | xargs --no-run-if-empty kill; wait' EXIT\nexec 2>&1\n"
    script = setup + "".join(f"printf '{_MARK}'\n{_moved(each.command, moves)}\n" for each in typed)
    environment = {
        "PATH": os.pathsep.join(path),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "COUNTERSIGN_ISSUER": f"http://{moves['localhost:8000']}",
        "PYTHONPATH": str(_SDK),  # as if it were installed
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
        check=False,
    )
    said = done.stdout.split(_MARK)[1:]
    assert done.returncode == 0, f"{typed[len(said) - 1].place} failed:\n{said[-1]}"
    return said


def _moves(*addresses: str) -> dict[str, str]:
    """From each documented address, and from the option that names its port, to a port that is free."""
    moves = {}
    for address in addresses:
        host, _, documented = address.partition(":")
        port = free_port()
        moves |= {address: f"{host}:{port}", f"--port {documented}": f"--port {port}"}
    return moves


def _moved(text: str, moves: dict[str, str]) -> str:
    """The documented addresses, at ports that are free."""
    for address, free in moves.items():
        text = text.replace(address, free)
    return text


def _matches(shown: str, said: str) -> bool:
    """Whether it is what the page shows; ``…`` there stands for anything, and columns may be wider."""
    pattern = ".*".join(map(re.escape, _narrow(shown).split("…")))
    return re.fullmatch(pattern, _narrow(said), re.DOTALL) is not None


def _narrow(text: str) -> str:
    return re.sub(" +", " ", text.strip())
