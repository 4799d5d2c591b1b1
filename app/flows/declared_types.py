"""The kinds of text in an ``agent-config.yml``: how each is checked, and how its refusal is worded."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema

from app.clock import parse_duration
from app.flows import aws_reference, vault_reference
from app.flows.expansion import check_expandable
from app.flows.names import NAME_PATTERN, Table, check_name
from app.identity.permissions import SCOPES
from app.protocol.claims import LONGEST_AUDIENCE, check_audience

MAX_TEXT = 32 * 1024
MAX_LINES = 1000
MAX_TABLE = 64
"""Entries of one table: each is a signature, a call to Vault, or a variable of the run."""

_DURATION_PATTERN = r"^[1-9][0-9]{0,5}[smhd]$"
_FLOW_NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_REFERENCE_PATTERN = r"^\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})$"
_RESOURCE_PATTERN = r'^[A-Za-z][A-Za-z0-9+.-]*:[!"$-~]+$'
_IMAGE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$"
_AUDIENCE_PATTERN = r"^[!-~]+$"


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
    if "$" in text and re.fullmatch(_AUDIENCE_PATTERN, text):
        return check_expandable(text)  # its length, too, is known when it is expanded
    reason = check_audience(text)
    return reason and f"the audience {reason}: write the one that the verifier expects"


def _check_token(text: str) -> str | None:
    named = re.fullmatch(_REFERENCE_PATTERN, text)
    return None if named else "must be `$` and the name of a declared ID token, such as `$VAULT_ID_TOKEN`"


def _check_scope(text: str) -> str | None:
    if text.startswith("user:"):
        return "the run names its human itself: leave `user:` scopes out"
    known = ", ".join(sorted(SCOPES))
    return None if text in SCOPES else f"there is no such scope: use {known}, one per entry"


def _check_resource(text: str) -> str | None:
    fits = len(text) <= LONGEST_AUDIENCE and re.fullmatch(_RESOURCE_PATTERN, text)
    return None if fits else "must be an absolute URI without fragment, such as `https://api.acme.example`"


def _check_flow_name(text: str) -> str | None:
    fits = re.fullmatch(_FLOW_NAME_PATTERN, text)
    return None if fits else "a flow's name is `a-z` or `0-9`, then those, `-` or `_`, 63 at most: rename it"


def _name_of_image(given: Any) -> Any:
    if isinstance(given, dict) and "name" in given:
        raise ValueError("must be text: write the `name` alone, such as `image: node:22`")
    return given


def _check_image(text: str) -> str | None:
    return None if re.fullmatch(_IMAGE_PATTERN, text) else "must be an image reference such as `node:22`"


def no_text(given: Any) -> str:
    """What to write instead of a value that is none."""
    if isinstance(given, dict):
        return "must be text, and a colon before a space makes a table: put all of it in quotes"
    if isinstance(given, list):
        return "must be text, not a list: write one value"
    return "must be text: put it in quotes"


def text_or_list(value: Any) -> str:
    """Which form a value is in, so that its refusal is that form's."""
    return "list" if isinstance(value, list | tuple) else "text"


def text_or_table(value: Any) -> str:
    """Which form a value is in, so that its refusal is that form's."""
    return "table" if isinstance(value, dict | BaseModel) else "text"


def _as_lines(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _schema(pattern: str, longest: int | None = None, **more: Any) -> WithJsonSchema:
    """What the published schema says of a text that a check of ours decides on."""
    limit = {} if longest is None else {"maxLength": longest}
    return WithJsonSchema({"type": "string", "pattern": pattern, **limit, **more})


_DOTS_OR_SPACES = {"pattern": r"(^|[/@])\.{1,2}([/@]|$)|^\s|\s$"}
_NAME = _schema(NAME_PATTERN)
_DURATION = _schema(_DURATION_PATTERN)
_PATH = _schema(vault_reference.PATH_PATTERN, vault_reference.MAX_PATH, **{"not": _DOTS_OR_SPACES})

VariableName = Annotated[str, _name("variables"), _NAME]
InputName = Annotated[str, _name("inputs"), _NAME]
IdTokenName = Annotated[str, _name("id_tokens"), _NAME]
SecretName = Annotated[str, _name("secrets"), _NAME]
FlowName = Annotated[str, _checked(_check_flow_name), _schema(_FLOW_NAME_PATTERN)]

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Line = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
VariableValue = Annotated[
    Text,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"type": ["string", "integer"], "maxLength": MAX_TEXT}),
]
_LINE = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_LINES = {"type": "array", "items": _LINE, "maxItems": MAX_LINES}
SetupScript = Annotated[
    tuple[Line, ...],
    Field(max_length=MAX_LINES),
    BeforeValidator(_as_lines),
    WithJsonSchema({"anyOf": [_LINE, _LINES]}),
]
Script = Annotated[
    tuple[Line, ...],
    Field(min_length=1, max_length=MAX_LINES),
    BeforeValidator(_as_lines),
    WithJsonSchema({"anyOf": [_LINE, _LINES | {"minItems": 1}]}),
]
"""A list of lines, or all of them in one text."""

Audience = Annotated[str, Field(max_length=1024), _checked(_check_audience), _schema(_AUDIENCE_PATTERN, 1024)]
Audiences = Annotated[tuple[Audience, ...], Field(min_length=1, max_length=16)]
TokenLife = Annotated[timedelta, _duration(timedelta(hours=1), "1h"), _DURATION]
RunTime = Annotated[timedelta, _duration(timedelta(hours=24), "24h"), _DURATION]
Image = Annotated[str, BeforeValidator(_name_of_image), _checked(_check_image), _schema(_IMAGE_PATTERN)]
TokenReference = Annotated[str, _checked(_check_token), _schema(_REFERENCE_PATTERN)]
Scope = Annotated[str, _checked(_check_scope), WithJsonSchema({"enum": sorted(SCOPES)})]
Resource = Annotated[str, _checked(_check_resource), _schema(_RESOURCE_PATTERN, LONGEST_AUDIENCE)]

VaultPath = Annotated[str, _checked(vault_reference.check_path), _PATH]
VaultField = Annotated[str, _checked(vault_reference.check_field), _schema(vault_reference.FIELD_PATTERN)]
VaultShortForm = Annotated[
    str,
    _checked(vault_reference.check_short_form),
    _schema(vault_reference.SHORT_FORM_PATTERN, **{"not": _DOTS_OR_SPACES}),
]
AwsShortForm = Annotated[
    str, _checked(aws_reference.check_short_form), _schema(aws_reference.SHORT_FORM_PATTERN)
]
AwsName = Annotated[str, _checked(aws_reference.check_name), _schema(aws_reference.NAME_PATTERN)]
AwsField = Annotated[str, _checked(aws_reference.check_field), _schema(aws_reference.FIELD_PATTERN)]
AwsVersionId = Annotated[
    str, _checked(aws_reference.check_version_id), _schema(aws_reference.VERSION_ID_PATTERN)
]
AwsRegion = Annotated[str, _checked(aws_reference.check_region), _schema(aws_reference.REGION_PATTERN)]
AwsRoleArn = Annotated[str, _checked(aws_reference.check_role_arn), _schema(aws_reference.ROLE_ARN_PATTERN)]
AwsSessionName = Annotated[
    str, _checked(aws_reference.check_session_name), _schema(aws_reference.SESSION_NAME_PATTERN)
]
