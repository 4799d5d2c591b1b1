"""Everything slow that the tests need, done before they start: `python -m tests.support.prepare [openbao]`.

Standard library only. What cannot be had here is said and left to the tests, which then skip or fail.
"""

import sys
from collections.abc import Callable

from tests.support import debian, go_program, node_modules, openbao_build, vendor
from tests.support.progress import say
from tests.support.tools import CHROMIUM, CURL, GIT, GO, NODE, POSTGRESQL, ROOT, TOOLS, MissingError


def main(arguments: list[str]) -> int:
    if arguments == ["openbao"]:
        return _failures(_openbao)
    _failures(_packages, node_modules.install, _axe, go_program.built)
    if openbao_build.on_path() is None:
        _failures(_openbao)
    return 0


def _packages() -> None:
    needed = (CHROMIUM, CURL, GIT, NODE, POSTGRESQL)
    debian.install(lambda: [package for tool in needed for package in tool.lacking()])


def _axe() -> None:
    """With what else package-lock.json names, unless that is there."""
    folder = TOOLS / "console"
    lock, done = folder / "package-lock.json", folder / "node_modules/.package-lock.json"
    if not (done.exists() and lock.read_bytes() == (ROOT / lock.name).read_bytes()):
        vendor.install(folder)


def _openbao() -> None:
    if not openbao_build.built().exists():
        debian.install(GO.lacking)
    openbao_build.build()


def _failures(*steps: Callable[[], object]) -> int:
    """How many of the steps cannot be done here; each says why."""
    failures = 0
    for step in steps:
        try:
            step()
        except MissingError as missing:
            say(str(missing))
            failures += 1
    return failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
