"""The Markdown tables, and the part of the README that quotes them."""

from collections.abc import Iterable, Iterator
from statistics import median

from bench import asking, countersign, growth, masking, minting, oidc_provider
from bench.load import CONNECTIONS
from bench.results import Result
from bench.rounds import median_cpu, median_rate, median_ratio

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

_RATIOS = (
    ("a token's CPU ÷ oidc-provider's", countersign.ISSUING, oidc_provider.ISSUING, "≤ 1.0"),
    ("a token's CPU ÷ one signature's", countersign.ISSUING, minting.SIGNATURE, ""),
    ("a run's tokens ÷ as many signatures", minting.RUN, minting.SIGNATURE, "≤ 1.15"),
)
_BUDGETS = (
    (asking.DECIDING, 50),
    (asking.INTROSPECTING, 400),
    (countersign.DISCOVERY, 100),
    (countersign.JWKS, 100),
)
_FLAT = "≤ 1.2"


class NoPlaceError(Exception):
    """The README has no pair of marks to write between."""


def markdown(result: Result) -> str:
    return "\n\n".join((_how(result), _costs(result), _targets(result), _growth(result))) + "\n"


def quoted(readme: str, tables: str) -> str:
    """The README with `tables` between its marks; raises `NoPlaceError`."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoPlaceError(f"README.md lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{tables.strip()}\n{END}{after}"


def _how(result: Result) -> str:
    programs = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return (
        f"Measured {result.at:%Y-%m-%d}: medians of {len(result.rounds)} alternating rounds, loopback, "
        f"{CONNECTIONS} connections; {programs}. CPU is user and system time of the server's whole process "
        "tree. Countersign's tokens are RS256 on SQLite, token row and audit row durable before the answer; "
        "oidc-provider, a cluster of two, keeps everything in memory. Trust the ratios more than the rest."
    )


def _costs(result: Result) -> str:
    rows = (
        (name, f"{median_cpu(result.rounds, name):,.0f}", f"{median_rate(result.rounds, name):,.0f}")
        for name in result.rounds[0]
    )
    return _table(("", "CPU microseconds", "a second"), rows)


def _targets(result: Result) -> str:
    return _table(("", "measured", "target"), [*_ratios(result), *_budgets(result)])


def _ratios(result: Result) -> Iterator[tuple[str, str, str]]:
    for what, name, to, target in _RATIOS:
        if {name, to} <= result.rounds[0].keys():
            yield what, f"{median_ratio(result.rounds, name, to):.2f}", target


def _budgets(result: Result) -> Iterator[tuple[str, str, str]]:
    for name, most in _BUDGETS:
        cpu = median_cpu(result.rounds, name)
        yield f"{name}, CPU", f"{cpu:.0f} microseconds", f"≤ {most} microseconds"
    if masking.MASKING in result.rounds[0]:
        rate = 1e6 / median_cpu(result.rounds, masking.MASKING)
        yield f"{masking.MASKING}, one core", f"{rate:.0f} MB/s", "≥ 10 MB/s"
    yield (
        "a web worker's start to its first answer, CPU",
        f"{median(result.start_cpu_seconds):.2f} s",
        "≤ 1.0 s",
    )
    for name, seconds in result.pages.items():
        yield f"console, {name}, 95 % of views within", f"{seconds * 1000:.0f} ms", "< 150 ms"
    yield "a web worker after the load, resident", f"{result.resident_bytes / 1e6:.0f} MB", "≤ 70 MB"


def _growth(result: Result) -> str:
    """CPU at each size, and the largest's to the smallest's."""
    smallest, largest = result.sizes[0], result.sizes[-1]
    rows = []
    for operation in growth.OPERATIONS:
        names = [growth.name(operation, size) for size in result.sizes]
        costs = (f"{median_cpu(result.growth, name):,.0f}" for name in names)
        ratio = median_ratio(result.growth, growth.name(operation, largest), growth.name(operation, smallest))
        rows.append((operation, *costs, f"{ratio:.2f}", _FLAT))
    sizes = (f"{size:,} rows" for size in result.sizes)
    head = ("CPU microseconds, by tokens and ledger rows", *sizes, "last ÷ first", "target")
    members = f"{min(largest, growth.MOST_MEMBERS):,} members"
    delegations = f"{min(largest, growth.MOST_DELEGATIONS):,} delegations of one human"
    return f"{_table(head, rows)}\n\nThe largest also has {members} and {delegations}."


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---", *["--:"] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
