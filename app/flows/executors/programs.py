"""What stands in a run's own directory of its search path: ``countersign``, as the steps have it.

Copies, for the steps' account need not be able to read where Countersign, or its Python, is installed.
"""

import os
import shlex
import sys
from functools import cache
from pathlib import Path

_PROGRAM = Path(__file__).with_name("steps_program.py")
_WRAPPER = """\
#!/bin/sh
python={python}
[ -x "$python" ] || python=python3
exec "$python" -I -S -X utf8 "${{0%/*}}/{program}" "$@"
"""


@cache
def programs() -> dict[str, bytes]:
    """Content by name."""
    python = shlex.quote(os.path.realpath(sys.executable))
    wrapper = _WRAPPER.format(python=python, program=_PROGRAM.name)
    return {"countersign": wrapper.encode(), _PROGRAM.name: _PROGRAM.read_bytes()}
