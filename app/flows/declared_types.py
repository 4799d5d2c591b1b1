"""The kinds of text in an ``agent-config.yml``: how each is checked, and how its refusal is worded."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema

from app.clock import parse_duration
from app.flows.expansion import check_expandable
from app.flows.names import NAME_PATTERN, Table, check_name
from app.flows.vault_reference import check_field, check_path, check_short_form
from app.protocol.claims import LONGEST_AUDIENCE, check_audience

MAX_TEXT = 32 * 1024

_DURATION_PATTERN = r"^[1-9][0-9]{0,5}[smhd]$"
_FLOW_NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_TOKEN_REFERENCE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,128}")
_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-\"$-~]+")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")


def _checked(check: Callable[[str], str | None]) -> AfterValidator:
    """A validator out of a function that tells why its text is refused."""

    def validate(text: str) -> str:
        if reason := check(text):
            raise ValueError(reason)
        return text

    return AfterValidator(validate)


def _name(table: Table) -> AfterValidator:
    return _checked(lambda name: check_name(name, table))


def _duration(longest: timedelta, shown: str) -> BeforeValidator:
    def validate(text: Any) -> timedelta:
        with suppress(ValueError):
            if isinstance(text, str) and re.fullmatch(_DURATION_PATTERN, text):
                span = parse_duration(text)
                if span <= longest:
                    return span
        raise ValueError(f"must be a duration such as `90s`, `15m` or `1h`, {shown} at most")

    return BeforeValidator(validate)


def _check_audience(text: str) -> str | None:
    if "$" in text:
        return check_expandable(text)
    reason = check_audience(text)
    return reason and f"the audience {reason}: write the one that the verifier expects"


def _check_token(text: str) -> str | None:
    named = _TOKEN_REFERENCE.fullmatch(text)
    return None if named else "must be `$` and the name of a declared ID token, such as `$VAULT_ID_TOKEN`"


def _check_scope(text: str) -> str | None:
    if text.startswith("user:"):
        return "the run names its human itself: leave `user:` scopes out"
    return None if _SCOPE.fullmatch(text) else "must be one scope in printable ASCII: one per entry"


def _check_resource(text: str) -> str | None:
    fits = len(text) <= LONGEST_AUDIENCE and _RESOURCE.fullmatch(text)
    return None if fits else "must be an absolute URI without fragment, such as `https://api.acme.example`"


def _check_flow_name(text: str) -> str | None:
    fits = re.fullmatch(_FLOW_NAME_PATTERN, text)
    return None if fits else "a flow's name is `a-z` or `0-9`, then those, `-` or `_`, 63 at most: rename it"


def _check_image(text: str) -> str | None:
    return None if _IMAGE.fullmatch(text) else "must be an image reference such as `node:22`"


def text_or_list(value: Any) -> str:
    """Which form a value is in, so that its refusal is that form's."""
    return "list" if isinstance(value, list | tuple) else "text"


def text_or_table(value: Any) -> str:
    """Which form a value is in, so that its refusal is that form's."""
    return "table" if isinstance(value, dict | BaseModel) else "text"


_DurationSchema = WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN})
_NameSchema = WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})

VariableName = Annotated[str, _name("variables"), _NameSchema]
InputName = Annotated[str, _name("inputs"), _NameSchema]
IdTokenName = Annotated[str, _name("id_tokens"), _NameSchema]
SecretName = Annotated[str, _name("secrets"), _NameSchema]
FlowName = Annotated[
    str, _checked(_check_flow_name), WithJsonSchema({"type": "string", "pattern": _FLOW_NAME_PATTERN})
]

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Line = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
VariableValue = Annotated[
    Text,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"type": ["string", "integer"], "maxLength": MAX_TEXT}),
]
Audience = Annotated[str, Field(max_length=1024), _checked(_check_audience)]
Audiences = Annotated[tuple[Audience, ...], Field(min_length=1, max_length=16)]
TokenLife = Annotated[timedelta, _duration(timedelta(hours=1), "1h"), _DurationSchema]
RunTime = Annotated[timedelta, _duration(timedelta(hours=24), "24h"), _DurationSchema]
VaultPath = Annotated[str, _checked(check_path)]
VaultField = Annotated[str, _checked(check_field)]
ShortForm = Annotated[str, _checked(check_short_form)]
Image = Annotated[str, _checked(_check_image)]
TokenReference = Annotated[str, _checked(_check_token)]
Scope = Annotated[str, _checked(_check_scope)]
Resource = Annotated[str, _checked(_check_resource)]
