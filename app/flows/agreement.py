"""Whether the tables of a configuration fit together: at the top, and as each flow will see them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from app.flows.declarations import FlowDeclaration, IdTokenDeclaration, SharedTables
from app.flows.declared_inputs import StringInput
from app.flows.declared_secrets import SecretDeclaration
from app.flows.expressions import Expression
from app.flows.faults import Path

Disagreement = tuple[Path, str]

MAX_EXPRESSIONS = 16

_TABLES = {"variables": "variable", "inputs": "input", "id_tokens": "ID token", "secrets": "secret"}


@dataclass(frozen=True, slots=True)
class View:
    """The tables in force at one place: those at the top under those of ``own``, which stand at ``where``."""

    top: SharedTables
    own: SharedTables
    where: Path

    def paths(self, table: str) -> dict[str, Path]:
        """Each name in force, and the path at which it is declared."""
        shared = {name: (table, name) for name in getattr(self.top, table, ())}
        return shared | {name: (*self.where, table, name) for name in getattr(self.own, table, ())}

    def id_tokens(self) -> Mapping[str, IdTokenDeclaration]:
        return {**self.top.id_tokens, **self.own.id_tokens}

    def secrets(self) -> Mapping[str, SecretDeclaration]:
        return {**self.top.secrets, **self.own.secrets}


def disagreements(top: SharedTables, flows: Mapping[str, FlowDeclaration]) -> dict[Path, str]:
    """What is wrong between declarations that are right by themselves, one message a place."""
    found: dict[Path, str] = {}
    for view in (View(top, top, ()), *(View(top, own, ("flows", name)) for name, own in flows.items())):
        for look in (_names_taken_twice, _secrets_without_token, _audiences_from_inputs):
            for path, message in look(view):
                found.setdefault(path, message)
    found.update(_expressions(flows))
    return found


def _names_taken_twice(view: View) -> Iterator[Disagreement]:
    taken: dict[str, tuple[str, Path]] = {}
    for table, kind in _TABLES.items():
        for name, path in view.paths(table).items():
            other, there = taken.setdefault(name, (kind, path))
            if there != path:
                closest, is_also = (path, other) if len(path) >= len(there) else (there, kind)
                yield closest, f"the same name is also that of {_a(is_also)}: rename one of them"


def _secrets_without_token(view: View) -> Iterator[Disagreement]:
    declared = view.id_tokens()
    paths = view.paths("secrets")
    within = f" in flow {view.where[1]}" if view.where else ""
    for name, secret in view.secrets().items():
        if not declared:
            yield paths[name], f"needs an ID token, and none is declared{within}: add one under `id_tokens`"
        elif secret.token_name is None and len(declared) > 1:
            reason = f"is required, more than one ID token is declared{within}"
            yield (*paths[name], "token"), f"{reason}: {_choose(declared)}"
        elif secret.token_name is not None and secret.token_name not in declared:
            yield (*paths[name], "token"), f"names no ID token declared{within}: {_choose(declared)}"


def _choose(declared: Iterable[str]) -> str:
    return "write " + " or ".join(f"`${name}`" for name in islice(declared, 10))


def _audiences_from_inputs(view: View) -> Iterator[Disagreement]:
    inputs = view.paths("inputs").keys()
    paths = view.paths("id_tokens")
    for name, token in view.id_tokens().items():
        if asked := sorted(inputs & token.asked_variables):
            reason = f"asks for `${asked[0]}`, an input: whoever starts a run never sets an audience"
            yield (*paths[name], "aud"), f"{reason}; use a variable"


def _expressions(flows: Mapping[str, FlowDeclaration]) -> Iterator[Disagreement]:
    """Compiled here and not by the model, because there may be few: each takes up to a tenth of a second."""
    users: dict[str, list[tuple[Path, StringInput]]] = {}
    for flow, own in flows.items():
        for name, declared in own.inputs.items():
            if isinstance(declared, StringInput) and declared.regex is not None:
                users.setdefault(declared.regex, []).append((("flows", flow, "inputs", name), declared))
    for number, (pattern, declarations) in enumerate(users.items()):
        path = declarations[0][0]
        if number == MAX_EXPRESSIONS:
            yield (*path, "regex"), f"more than {MAX_EXPRESSIONS} different ones in the file: remove some"
            return
        try:
            expression = Expression(pattern)
        except ValueError as refusal:
            yield (*path, "regex"), str(refusal)
            continue
        for path, declared in declarations:
            texts = [*(declared.options or ()), *([] if declared.default is None else [declared.default])]
            if not all(map(expression.finds, texts)):
                yield path, "its `default` or one of its `options` does not match its `regex`: change one"


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "iI" else f"a {kind}"
