"""``python -m bench [--quick]`` measures and prints the tables; ``--readme`` quotes the newest ones."""

# Under PROOF=1 the largest installation has ten million rows, which takes ten gigabytes and many minutes.

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import console, countersign, growth, masking, minting, oidc_provider, results, tables
from bench.asking import Asking
from bench.countersign import Parties
from bench.results import Result
from bench.rounds import Contestant, Round, alternate
from tests.support.effort import PROOF
from tests.support.server import Installation
from tests.support.tools import ROOT, MissingError


@dataclass(frozen=True)
class Effort:
    """How many rounds and starts, and how many operations of each kind in one round."""

    rounds: int
    starts: int
    tokens: int
    documents: int
    signatures: int
    run_starts: int
    megabytes: int
    decisions: int
    questions: int
    sizes: tuple[int, ...]
    """How many tokens and ledger rows there are, in the installations that growth is measured over."""


WHOLE = Effort(
    rounds=7,
    starts=5,
    tokens=1000,
    documents=10_000,
    signatures=1000,
    run_starts=50,
    megabytes=10,
    decisions=20_000,
    questions=500,
    sizes=(1000, 100_000, 1_000_000, *([10_000_000] if PROOF else [])),
)
QUICK = Effort(
    rounds=3,
    starts=1,
    tokens=400,
    documents=2000,
    signatures=200,
    run_starts=10,
    megabytes=2,
    decisions=2000,
    questions=200,
    sizes=(1000, 100_000),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run, which the README never quotes")
    parser.add_argument("--readme", action="store_true", help="no run: quote the newest whole one")
    wanted = parser.parse_args()
    if wanted.readme:
        quote(ROOT / "README.md")
        return
    result = measure(QUICK if wanted.quick else WHOLE, quick=wanted.quick)
    written = tables.markdown(result)
    results.save(result, written)
    print(written)


def quote(readme: Path) -> None:
    written = results.newest_markdown()
    if written is None:
        sys.exit("bench: nothing to quote yet: make bench")
    try:
        readme.write_text(tables.quoted(readme.read_text(), written))
    except tables.NoPlaceError as error:
        sys.exit(f"bench: {error}")


def measure(effort: Effort, *, quick: bool) -> Result:
    with TemporaryDirectory(prefix="countersign-bench-") as temporary, ExitStack() as servers:
        folder = Path(temporary)
        peers = _peers(servers, folder, effort.tokens)
        say("making an installation and starting it")
        installation, parties = countersign.install(folder)
        starts = [countersign.start_cpu_seconds(installation, parties) for _ in range(effort.starts)]
        grown = _grown(folder, installation, parties, effort)
        pages = _pages(folder, installation, effort)
        served = servers.enter_context(countersign.serving(installation, parties))
        contestants = [
            minting.signatures(effort.signatures),
            masking.masked(effort.megabytes),
            minting.runs(installation.environment, parties, effort.run_starts),
            *Asking.of(installation.environment, parties).contestants(effort.decisions, effort.questions),
            *served.contestants(effort.tokens, effort.documents),
            *peers,
        ]
        return Result(
            at=datetime.now(UTC),
            quick=quick,
            versions=_versions(),
            rounds=list(_followed(alternate(contestants, effort.rounds), effort.rounds)),
            sizes=effort.sizes,
            growth=grown,
            start_cpu_seconds=starts,
            resident_bytes=served.web_worker().resident_bytes,
            pages=pages,
        )


def _grown(folder: Path, installation: Installation, parties: Parties, effort: Effort) -> list[Round]:
    say(f"filling {len(effort.sizes)} installations, the largest with {effort.sizes[-1]:,} rows")
    contestants = growth.contestants(folder, installation, parties, effort.sizes, effort.questions)
    return list(_followed(alternate(contestants, effort.rounds), effort.rounds))


def _pages(folder: Path, installation: Installation, effort: Effort) -> dict[str, float]:
    say(f"looking at the console {effort.questions} times, with {console.ROWS:,} ledger rows")
    home = {"COUNTERSIGN_HOME_DIR": str(growth.home(folder, console.ROWS))}
    return console.p95_seconds(installation.environment | home, effort.questions)


def _peers(servers: ExitStack, folder: Path, tokens: int) -> list[Contestant]:
    """Those that this machine can run; what is missing is said."""
    try:
        oidc_provider.install()
    except MissingError as missing:
        say(f"without oidc-provider: {missing}")
        return []
    return [servers.enter_context(oidc_provider.serving(folder / "oidc-provider.log", tokens))]


def _followed(rounds: Iterator[Round], count: int) -> Iterator[Round]:
    say("warming up")
    for number, each in enumerate(rounds, start=1):
        say(f"round {number} of {count}")
        yield each


def _versions() -> dict[str, str]:
    ours = {name: version(name) for name in ("cryptography", "granian", "sqlalchemy")}
    return results.machine() | ours | oidc_provider.versions()


def say(message: str) -> None:
    print(f"bench: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
