"""The inputs of a flow by type, and the one text by which each value reaches a step.

As GitLab's ``spec:inputs``, without arrays, which no environment variable can hold.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from app.flows.declaration import Declaration
from app.flows.declared_types import MAX_TABLE, Text, no_text
from app.flows.expressions import MAX_EXPRESSION, Expression
from app.flows.yaml_values import NO_ENVIRONMENT

LONGEST_INPUT = 8192

_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,18}))?")
_NUMBER_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_NUMBER.pattern}$"}]}
_BOOLEAN_SCHEMA = {"anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}


def _text_of(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(no_text(value))  # noqa: TRY004 - what pydantic takes
    if len(value) > LONGEST_INPUT or NO_ENVIRONMENT.search(value):
        raise ValueError(f"at most {LONGEST_INPUT} characters, without NUL")
    return value


def _number_of(value: Any) -> str:
    """Without superfluous zeros, and without the sign of a zero."""
    text = str(value) if type(value) in {str, int, float} else ""
    if not (match := _NUMBER.fullmatch(text)):
        raise ValueError("must be a number in digits, such as `3`, `-1` or `0.5`")
    sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
    text = f"{whole}.{fraction}" if fraction else whole
    return text if text == "0" else sign + text


def _boolean_of(value: Any) -> str:
    text = str(value).lower() if isinstance(value, str | bool) else ""
    if text not in {"true", "false"}:
        raise ValueError("must be `true` or `false`")
    return text


def _known_type(value: Any) -> Any:
    if value not in ("string", "number", "boolean"):
        raise ValueError("must be `string`, `number` or `boolean`")
    return value


_String = Annotated[
    str,
    BeforeValidator(_text_of),
    WithJsonSchema({"type": "string", "maxLength": LONGEST_INPUT}),
]
_Number = Annotated[str, BeforeValidator(_number_of), WithJsonSchema(_NUMBER_SCHEMA)]
_Boolean = Annotated[str, BeforeValidator(_boolean_of), WithJsonSchema(_BOOLEAN_SCHEMA)]
_Default = Field(description="Taken when the starter sets nothing; without one the input has to be set.")
_Options = Field(min_length=1, max_length=MAX_TABLE, description="The only values it may have.")


class InputBase(Declaration):
    """What a starter may set; it reaches the steps as a variable and nothing else."""

    canonical: ClassVar[Callable[[Any], str]]
    """The text of a value of this type; ``ValueError`` says what it must be."""

    description: Text | None = None
    """For whoever starts the flow."""
    default: str | None = None

    def read(self, value: Any) -> str:
        """What ``value`` is for a step; ``ValueError`` tells what is asked for, never what was given."""
        return type(self).canonical(value)


class _WithOptions(InputBase):
    options: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _default_is_an_option(self) -> Self:
        if self.options is not None and self.default is not None and self.default not in self.options:
            raise ValueError("its `default` is not one of its `options`: add it there")
        return self

    def read(self, value: Any) -> str:
        text = super().read(value)
        if self.options is not None and text not in self.options:
            raise ValueError(f"choose one of {', '.join(self.options)}")
        return text


class StringInput(_WithOptions):
    """Text."""

    canonical = _text_of
    type: Annotated[Literal["string"], BeforeValidator(_known_type)] = "string"
    default: Annotated[_String | None, _Default] = None
    options: Annotated[tuple[_String, ...] | None, _Options] = None
    regex: Annotated[str, Field(min_length=1, max_length=MAX_EXPRESSION)] | None = None
    """What its value has to match, in the syntax of RE2; anywhere in it unless `^` and `$` say otherwise."""

    def read(self, value: Any) -> str:
        text = super().read(value)
        if self.regex is not None and not Expression(self.regex).finds(text):
            raise ValueError(f"has to match the regular expression {self.regex}")
        return text


class NumberInput(_WithOptions):
    """A number in plain digits."""

    canonical = _number_of
    type: Literal["number"]
    default: Annotated[_Number | None, _Default] = None
    options: Annotated[tuple[_Number, ...] | None, _Options] = None


class BooleanInput(InputBase):
    """`true` or `false`."""

    canonical = _boolean_of
    type: Literal["boolean"]
    default: Annotated[_Boolean | None, _Default] = None


def _kind_of(value: Any) -> str:
    """The declared type; a wrong one is refused as a wrong type of the first."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if kind in ("number", "boolean") else "string"


InputDeclaration = Annotated[
    Annotated[StringInput, Tag("string")]
    | Annotated[NumberInput, Tag("number")]
    | Annotated[BooleanInput, Tag("boolean")],
    Discriminator(_kind_of),
]
