"""ARCHITECTURE.md's rules as data, and the few lines that hold a source text against them."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    modules: frozenset[str]
    may_import_up_to: int
    never: frozenset[str] = frozenset()


def _level(modules: str, may_import_up_to: int, never: str = "") -> Level:
    return Level(frozenset(modules.split()), may_import_up_to, frozenset(never.split()))


LEVELS = (
    _level("clock durable errors forks masking protocol secret", 0),  # and the standard library, nothing else
    _level("settings setting_values setting_faults log db db_deadline prepared sealing ledger", 1),
    _level("identity signing", 1, never="settings"),
    _level("tokens", 2, never="settings"),
    _level("flows trust", 3, never="settings"),
    _level("wiring worker doctor representation", 4),
    _level("operations", 5),
    _level("endpoints web cli", 6),
    _level("factory", 8),
)
LEVEL_OF = {module: number for number, level in enumerate(LEVELS) for module in level.modules}

FLASK_LEVELS = (5, 7, 8)
FLASK_ADAPTER = "app.tokens.authorization_server"

OWNERS = {
    "app.settings": ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv"),
    "app.clock": (
        *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"),
        *("datetime.date.today", "time.time", "time.time_ns", "time.localtime", "time.gmtime"),
    ),
}
"""Who alone may use these; everybody else takes the environment's values and the clock as arguments."""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("app.cli.supervisor", "os.environ"): "its children read their settings from the environment that it has",
    ("app.cli.id_token", "os.environ"): "inside a run there are no settings, only what the run was given",
    ("app.flows.executors.steps_program", "os.environ"): "a program of its own, in the steps of a run",
    ("app.cli.sample.verifier", "time.time"): "a program of its own, which shares no code with ours",
}
"""(module, name) used outside its owner, with the reason."""

NAMELESS = frozenset(["util", "utils", "helper", "helpers", "manager", "managers", "common"])


@dataclass(frozen=True)
class Import:
    """Imports `name`; from then on `bound` stands for `means`."""

    name: str
    bound: str
    means: str
    line: int


def faults(module: str, source: str, *, package: bool = False) -> list[str]:
    """What `source`, being `app.signing.keyring`, does against the rules; `package` for an `__init__.py`."""
    tree = ast.parse(source)
    imports = list(_imports(tree, module if package else module.rpartition(".")[0]))
    found = {(1, fault) for fault in _name_faults(module)}
    found |= {(entry.line, fault) for entry in imports for fault in _import_faults(module, entry.name)}
    for name, line in _references(tree, imports):
        found |= {(line, fault) for fault in _ownership_faults(module, name)}
    return [f"{module}:{line}: {fault}" for line, fault in sorted(found)]


def _name_faults(module: str) -> Iterator[str]:
    for part in NAMELESS.intersection(module.split(".")):
        yield f"{part} says nothing: name it for what it does"
    if _within(module, "app") and _room(module) not in {"", *LEVEL_OF}:
        yield f"app.{_room(module)} has no level"


def _import_faults(module: str, name: str) -> Iterator[str]:
    if _within(name, "authlib.jose"):
        yield "authlib.jose is deprecated: joserfc parses and verifies"
    if _within(module, "sdk") and _within(name, "app"):
        yield "the sdk stands alone and never imports app"
    if not _within(module, "app"):
        return
    if _within(name, "app"):
        yield from _level_faults(_room(module), _room(name))
    level = LEVEL_OF.get(_room(module), 0)
    if level == 0 and name.partition(".")[0] not in {"app", *sys.stdlib_module_names}:
        yield f"level 0 stands on the standard library alone, not {name}"
    if _is_flask(name) and level not in FLASK_LEVELS and module != FLASK_ADAPTER:
        yield f"Flask belongs to the edges and {FLASK_ADAPTER}"


def _level_faults(room: str, other: str) -> Iterator[str]:
    if room == other:
        return
    if not other:
        yield "import the module that is meant, not app as a whole"
    elif other not in LEVEL_OF:
        yield f"app.{other} has no level"
    elif room not in LEVEL_OF:
        yield "app itself imports nothing of its own"
    elif LEVEL_OF[other] > LEVELS[LEVEL_OF[room]].may_import_up_to:
        yield f"{room} (level {LEVEL_OF[room]}) may not import {other} (level {LEVEL_OF[other]})"
    elif other in LEVELS[LEVEL_OF[room]].never:
        yield f"{room} never imports {other}: it is handed values"


def _ownership_faults(module: str, name: str) -> Iterator[str]:
    for owner, names in OWNERS.items():
        outside = _within(module, "app") and not _within(module, owner)
        if outside and name in names and (module, name) not in EXCEPTIONS:
            yield f"{name} is for {owner} alone"


def _imports(tree: ast.AST, package: str) -> Iterator[Import]:
    """All of them: inside functions, under TYPE_CHECKING, relative ones made absolute, named in a string."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    first = name.name.partition(".")[0]
                    means = name.name if name.asname else first
                    yield Import(name.name, name.asname or first, means, node.lineno)
            case ast.ImportFrom(names=names):
                for name in names:
                    full = f"{_origin(node, package)}.{name.name}"
                    yield Import(full, name.asname or name.name, full, node.lineno)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if _imports_by_call(node):
                yield Import(name, "", name, node.lineno)


def _origin(node: ast.ImportFrom, package: str) -> str:
    above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def _imports_by_call(call: ast.Call) -> bool:
    return ast.unparse(call.func).rpartition(".")[2] in {"import_module", "__import__"}


def _references(tree: ast.AST, imports: list[Import]) -> Iterator[tuple[str, int]]:
    """Each imported thing that is used, by its full name: `dt.now` as `datetime.datetime.now`."""
    means = {entry.bound: entry.means for entry in imports}
    yield from ((entry.name, entry.line) for entry in imports)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and (name := _dotted(node)):
            first, dot, rest = name.partition(".")
            if first in means:
                yield means[first] + dot + rest, node.lineno


def _dotted(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr) if before := _dotted(value):
            return f"{before}.{attr}"
    return None


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _room(name: str) -> str:
    """`signing` of `app.signing.keyring`."""
    return name.split(".")[1] if "." in name else ""


def _is_flask(name: str) -> bool:
    return re.match(r"(authlib\.integrations\.)?flask(_|\.|$)", name) is not None
