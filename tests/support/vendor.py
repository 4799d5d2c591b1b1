"""What the console takes from npm: `python -m tests.support.vendor [--check]`. Standard library only.

The files are committed as published, with a manifest, so that installing Countersign never needs Node.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.progress import say
from tests.support.tools import NODE, ROOT, TOOLS, MissingError

FOLDER = ROOT / "app/web/static/vendor"
MANIFEST = "manifest.json"
PACKAGES = ("package.json", "package-lock.json")


@dataclass(frozen=True)
class Taken:
    """``licence``: its text in the package, or none where the package has none and we keep it by hand."""

    package: str
    files: dict[str, str]
    licence: str | None = "LICENSE"


TAKEN = (
    Taken("@tabler/core", {"tabler.min.css": "dist/css/tabler.min.css"}, licence=None),
    Taken("htmx.org", {"htmx.min.js": "dist/htmx.min.js", "hx-csp.min.js": "dist/ext/hx-csp.min.js"}),
    Taken("uplot", {"uplot.min.js": "dist/uPlot.iife.min.js", "uplot.min.css": "dist/uPlot.min.css"}),
)


def main(arguments: list[str]) -> int:
    try:
        modules = install(TOOLS / "console")
    except MissingError as missing:
        say(str(missing))
        return 1
    wanted = vendored(modules)
    if arguments == ["--check"]:
        return _check(wanted)
    for name, body in wanted.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_bytes(body)
    return 0


def install(folder: Path) -> Path:
    """The ``node_modules`` that ``npm ci`` makes of the lock; raises `MissingError`."""
    npm = NODE.find("npm")
    folder.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        shutil.copyfile(ROOT / name, folder / name)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        [npm, "ci", *options],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MissingError("npm packages", "npm ci failed:\n" + done.stderr)
    return folder / "node_modules"


def vendored(modules: Path) -> dict[str, bytes]:
    """Each file of the vendor folder that comes from npm, and the manifest of them all."""
    files: dict[str, bytes] = {}
    entries = []
    for taken in TAKEN:
        package = modules / taken.package
        files |= {name: (package / path).read_bytes() for name, path in taken.files.items()}
        if taken.licence:
            files[licence_of(taken)] = (package / taken.licence).read_bytes()
        entries += list(_entries(taken, json.loads((package / "package.json").read_bytes()), files))
    return files | {MANIFEST: json.dumps(entries, indent=2).encode() + b"\n"}


def licence_of(taken: Taken) -> str:
    """`licences/tabler-core.txt` of `@tabler/core`."""
    return f"licences/{taken.package.lstrip('@').replace('/', '-')}.txt"


def sha384(body: bytes) -> str:
    """As subresource integrity writes it."""
    return "sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode()


def _entries(taken: Taken, package: dict[str, str], files: dict[str, bytes]) -> Iterator[dict[str, str]]:
    for name in taken.files:
        yield {
            "file": name,
            "package": taken.package,
            "version": package["version"],
            "sha384": sha384(files[name]),
            "licence": package["license"],
            "licence_text": licence_of(taken),
        }


def _check(wanted: dict[str, bytes]) -> int:
    """Standard error names each file that differs, is missing, or should not be there."""
    there = {str(file.relative_to(FOLDER)): file for file in FOLDER.rglob("*") if file.is_file()}
    by_hand = {licence_of(taken) for taken in TAKEN if not taken.licence}
    different = [
        name for name, body in wanted.items() if name not in there or there[name].read_bytes() != body
    ]
    different += sorted(by_hand - there.keys()) + sorted(there.keys() - wanted.keys() - by_hand)
    for name in different:
        say(f"{FOLDER.relative_to(ROOT) / name} is not what package-lock.json says: make vendor")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
