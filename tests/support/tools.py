"""Where a machine keeps the programs that the tests need. Standard library only; asks, never installs."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools"


class MissingError(Exception):
    """This machine lacks `tool`; the message says what would help."""

    def __init__(self, tool: str, remedy: str) -> None:
        super().__init__(f"{tool} is missing: {remedy}")
        self.tool = tool
        self.remedy = remedy


@dataclass(frozen=True)
class Tool:
    """Programs that come together, each with its Debian package; `places` are looked at after the PATH."""

    name: str
    packages: dict[str, str]
    places: tuple[str, ...] = ()

    def find(self, program: str) -> Path:
        """The program on the PATH, else the newest in `places`; raises `MissingError`."""
        folders = [os.environ.get("PATH", os.defpath), *self._places()]
        found = shutil.which(program, path=os.pathsep.join(folders))
        if found is None:
            raise MissingError(self.name, f"install {program} (Debian: {self.packages[program]})")
        return Path(found)

    def lacking(self) -> list[str]:
        """The Debian packages of the programs that are not there."""
        return [package for program, package in self.packages.items() if not self._has(program)]

    def _has(self, program: str) -> bool:
        try:
            self.find(program)
        except MissingError:
            return False
        return True

    def _places(self) -> list[str]:
        return [str(folder) for place in self.places for folder in _newest_first(place)]


def _newest_first(place: str) -> list[Path]:
    """`/usr/lib/postgresql/*/bin`, 17 before 9.6."""
    return sorted(Path("/").glob(place.lstrip("/")), key=_numbers, reverse=True)


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in "".join(c if c.isdigit() else " " for c in str(folder)).split()]


CHROMIUM = Tool("Chromium", {"chromium": "chromium"})
CURL = Tool("curl", {"curl": "curl"})
GIT = Tool("Git", {"git": "git"})
GO = Tool("Go", {"go": "golang-go"}, ("/usr/local/go/bin", "/usr/lib/go-*/bin"))
NODE = Tool("Node", {"node": "nodejs", "npm": "npm"})
POSTGRESQL = Tool(
    "PostgreSQL", {"initdb": "postgresql", "postgres": "postgresql"}, ("/usr/lib/postgresql/*/bin",)
)
ALL = (CHROMIUM, GO, NODE, POSTGRESQL)
