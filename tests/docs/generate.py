"""Writes the pages that the code knows best: ``python -m tests.docs.generate``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from app.cli import main
from app.endpoints.api.blueprint import PREFIX as API
from app.flows import schema
from app.flows.configuration import Configuration
from app.operations.operation import Operation
from app.operations.resources import RESOURCES
from app.setting_faults import PREFIX
from app.settings import declared
from tests.support.tools import ROOT

_NOTE = "<!-- Written by `python -m tests.docs.generate`; a test fails when it is out of date. -->"
_WIDTH = 100


_SETTINGS = f"""# Settings

{_NOTE}

Countersign is configured by environment variables. All that is wrong with them is reported at once, and a
`COUNTERSIGN_` name that is not listed here is refused: a misspelt setting would otherwise be silent.

A secret can be given in a file instead: the variable with `_FILE` names it, one line break at its end is
dropped. Durations are written `90s`, `15m`, `24h`, `30d`, or as a sum such as `1h30m`.

| variable | default | meaning |
|---|---|---|
"""

_CLI = f"""# The command line

{_NOTE}

`countersign` works on the database and keys of its own host, as the operator: the ledger names
`operator:<login name>`. [Settings](settings.md) say which installation it is.

Data goes to stdout, messages to stderr. With `--json` stdout is one object or one array and nothing else:
times are RFC 3339 in UTC, ids are integers, what is absent is `null`. The exit code is 0 when it was done,
1 when it was refused, 2 when the command was misspelt.

"""


_API = f"""# The administration API

{_NOTE}

`{API}` on the issuer administers the installation over HTTP, in JSON. `{API}/openapi.json` describes every
operation, body and answer (OpenAPI 3.1): public, and enough to generate a client from. How to begin:
[Using the API](../guides/api.md). The representations are those of the command line's `--json`.

## Who is calling

A bearer token (RFC 6750), either of
- a **personal access token** of a human (`countersign user token create`): in person, with what its scopes
  cover. An *administrator* or an *auditor* is one in person with scope `api`;
- an **access token** whose audience is this API. Of a pair (a service account for a human) the
  [intersection](../guides/authorization.md) decides. A pair never grants a delegation, makes a credential or
  administers people.

A **run token** is good for one operation, `remint_id_token`, and for nothing else. Client secrets are refused
here. What somebody may not know of is answered with 404, in the same words as
what is not there; every denial has its row in [the ledger](audit.md), under both names.

## Problems

Every refusal is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, `request_id`, and
where input was refused `errors`, a list of `key` and `fix`. No value that was given is repeated. Bodies and
queries are read strictly: a key that is not described, or `"1"` for `1`, is refused.

| status | when |
|---|---|
| 400 | the body is not JSON |
| 401 | no token, or one that is no longer good |
| 403 | not for this caller |
| 404 | nothing there that this caller may see |
| 409 | it clashes with what is there |
| 410 | a log that was removed |
| 412 | `If-Match` or `If-None-Match` does not hold |
| 413 | the body is too large |
| 415 | `Content-Type` is not the one that is described |
| 422 | a key is wrong, missing or unknown |
| 429 | too much of it waits already; `Retry-After` tells when to ask again |
| 503 | the database, or a key, cannot be had; `Retry-After` tells when to ask again |

## Lists

`?limit=` (1 to 200, 50 by default); the answer is `{{"items": […], "next_cursor": …}}`. Ask again with
`?cursor=` until `next_cursor` is `null`. What is added meanwhile makes nothing come twice and nothing be
left out.

## Changes

`PUT` creates or replaces what the client names itself, and may be sent again: 201 with `Location`, then 200,
and no row in the ledger where nothing differs. A member that is left out has its default. Every
representation has an `ETag`. `If-Match` with it refuses a change of what somebody else has changed since;
`If-None-Match: *` creates and never replaces. A `POST` is not idempotent,
but for a start with an `Idempotency-Key`: [starting flows](../guides/runs.md).

## Operations

`{{+path}}` stands for a path with slashes in it, as they are or as `%2F`. *Anybody*: whoever is known, as far
as their permissions reach; *person*: a human in person with scope `api`; *administrator*: likewise;
*overseer*: an administrator or an auditor, likewise; *run*: a run, by its own token.

| operation | | what it does | for |
|---|---|---|---|
"""


def api() -> str:
    operations = [operation for resource in RESOURCES for operation in resource.operations]
    return _API + "\n".join([*map(_operation, operations), ""])


def _operation(operation: Operation) -> str:
    call = f"`{operation.method} {operation.template}`"
    return f"| `{operation.id}` | {call} | {operation.summary} | {operation.by.name.lower()} |"


def settings() -> str:
    rows = [_setting(name, metadata) for name, metadata in declared().items()]
    return _SETTINGS + "\n".join([*rows, ""])


def _setting(name: str, metadata: Mapping[str, Any]) -> str:
    variable = PREFIX + name.upper()
    names = f"`{variable}`" + (f"<br>`{variable}_FILE`" if metadata["secret"] else "")
    default = f"`{metadata['default']}`" if metadata["default"] else "none"
    return f"| {names} | {default} | {metadata['text']} |"


def cli() -> str:
    return _CLI + "\n".join(_section(path, command) for path, command in _commands(main, ("countersign",)))


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            if not inner.hidden:
                yield from _commands(inner, (*path, name))


def _section(path: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(command, info_name=" ".join(path), terminal_width=_WIDTH)
    return f"## {' '.join(path)}\n\n```text\n{command.get_help(context)}\n```\n"


def agent_config_schema() -> str:
    return orjson.dumps(schema.of(Configuration), option=orjson.OPT_INDENT_2).decode() + "\n"


GENERATED = {
    "docs/reference/agent-config.schema.json": agent_config_schema,
    "docs/reference/settings.md": settings,
    "docs/reference/cli.md": cli,
    "docs/reference/api.md": api,
}


def write(root: Path = ROOT) -> None:
    for name, page in GENERATED.items():
        (root / name).write_text(page())


if __name__ == "__main__":
    write()
