"""Everything slow that the tests need, done before they start: `python -m tests.support.prepare [openbao]`.

Standard library only. What cannot be had here is said and left to the tests, which then skip or fail.
"""

import sys
from collections.abc import Callable

from tests.support import debian, go_program, node_modules, openbao_build
from tests.support.progress import say
from tests.support.tools import CURL, GIT, GO, NODE, POSTGRESQL, MissingError


def main(arguments: list[str]) -> int:
    if arguments == ["openbao"]:
        return _failures(_openbao)
    _failures(_packages, node_modules.install, go_program.built)
    if openbao_build.on_path() is None:
        _failures(_openbao)
    return 0


def _packages() -> None:
    debian.install(lambda: CURL.lacking() + GIT.lacking() + NODE.lacking() + POSTGRESQL.lacking())


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
