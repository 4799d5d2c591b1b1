"""A Go that is new enough: the machine's own, or one that it fetches as a module. Standard library only."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

from tests.support.progress import say
from tests.support.tools import GO, MissingError


def at_least(version: str) -> Path:
    """`go`, of that version (`1.26.0`) or a later one; raises `MissingError`."""
    installed = GO.find("go")
    has = _ask(installed, "version").split()[2].removeprefix("go")
    return installed if _numbers(has) >= _numbers(version) else _fetched(installed, version)


def _fetched(go: Path, version: str) -> Path:
    """Go as `golang.org/toolchain`, which a Go too old for `GOTOOLCHAIN` can download just as well."""
    system = "-".join(_ask(go, "env", "GOOS", "GOARCH").split())
    module = f"golang.org/toolchain@v0.0.1-go{version}.{system}"
    say(f"fetching Go {version}")
    try:
        folder = Path(json.loads(_ask(go, "mod", "download", "-json", module))["Dir"])
    except subprocess.CalledProcessError as failure:
        raise MissingError("Go", f"{version} is needed and could not be fetched: {failure.output}") from None
    for program in [*folder.glob("bin/*"), *folder.glob("pkg/tool/*/*")]:
        program.chmod(0o755)  # a module's archive holds no modes
    return folder / "bin/go"


def _ask(go: Path, *arguments: str) -> str:
    """In a folder of no module, so that a go.mod too new for this Go is not in its way."""
    with tempfile.TemporaryDirectory() as nowhere:
        return subprocess.run(
            [go, *arguments], cwd=nowhere, capture_output=True, text=True, check=True
        ).stdout


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
