"""What was measured: one value, kept as JSON."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import orjson

from bench.rounds import Round, median_cpu, median_rate

FOLDER = Path(__file__).parent / "results"
_QUICK = "-quick"


@dataclass(frozen=True, kw_only=True)
class Result:
    """`start_cpu_seconds`: a web worker's, from its first import to its first answer, once per start;
    `resident_bytes`: what it held after the load.
    """

    at: datetime
    quick: bool
    versions: Mapping[str, str]
    rounds: Sequence[Round]
    sizes: Sequence[int]
    """Rows in the installations that `growth` was measured over, the smallest first."""
    growth: Sequence[Round]
    start_cpu_seconds: Sequence[float]
    resident_bytes: int
    pages: Mapping[str, float] = field(default_factory=dict)
    """Seconds within which 19 of 20 views of a page of the console were shown."""

    @property
    def name(self) -> str:
        return f"{self.at:%Y-%m-%d}{_QUICK if self.quick else ''}"

    def as_json(self) -> bytes:
        medians = {
            name: {
                "cpu_microseconds": median_cpu(rounds, name),
                "per_second": median_rate(rounds, name),
            }
            for rounds in (self.rounds, self.growth)
            for name in rounds[0]
        }
        return orjson.dumps(asdict(self) | {"medians": medians}, option=orjson.OPT_INDENT_2)


def save(result: Result, markdown: str) -> None:
    """Of several on one day the last one stays."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{result.name}.json").write_bytes(result.as_json())
    (FOLDER / f"{result.name}.md").write_text(markdown)


def newest_markdown(folder: Path = FOLDER) -> str | None:
    """The tables of the newest whole run, if there was one."""
    whole = [path for path in folder.glob("*.md") if not path.stem.endswith(_QUICK)]
    return max(whole).read_text() if whole else None


def machine() -> dict[str, str]:
    """What the figures depend on, and nothing that tells whose machine it is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {model or platform.machine(): f"({os.cpu_count()} cores)", "Python": platform.python_version()}
