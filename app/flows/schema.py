"""The JSON Schema (draft 2020-12) of a configuration, for editors and for our own refusals."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from app.flows.names import BY_TABLE, EVERYWHERE, NAME_PATTERN, Reserved


@cache
def of(model: type[BaseModel]) -> Mapping[str, Any]:
    """What ``model`` takes, as far as JSON Schema can say it: what it refuses, ``model`` refuses.

    Beyond it are what YAML itself must not have, durations above a maximum, and whether tables fit together.
    """
    schema = model.model_json_schema(schema_generator=_Published)
    definitions = schema["$defs"]
    for place in (schema, *definitions.values()):
        for table, described in place.get("properties", {}).items():
            if table in BY_TABLE:
                described["propertyNames"] = {"$ref": f"#/$defs/name_in_{table}"}
    definitions["reserved_name"] = {"anyOf": [each for row in EVERYWHERE for each in _held(row)]}
    definitions |= {f"name_in_{table}": _name(rows) for table, rows in BY_TABLE.items()}
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": "agent-config.yml of Countersign"} | schema


class _Published(GenerateJsonSchema):
    """Without titles made from names, and without ``null``: a key without a value is refused."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's own name
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        described.pop("title", None)
        return described

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        default = schema.get("default")
        described = super().default_schema(schema)
        if default is None or isinstance(default, BaseModel):
            described.pop("default", None)
        return described

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """One schema for every name, and one for every value, where pydantic has a pattern."""
        described = super().dict_schema(schema)
        for pattern, values in described.pop("patternProperties", {}).items():
            described["propertyNames"] = {"pattern": pattern}
            described["additionalProperties"] = values
        return described


def _name(rows: tuple[Reserved, ...]) -> JsonSchemaValue:
    refused = [{"$ref": "#/$defs/reserved_name"}, *(each for row in rows for each in _held(row))]
    return {"type": "string", "pattern": NAME_PATTERN, "not": {"anyOf": refused}}


def _held(row: Reserved) -> list[JsonSchemaValue]:
    """The names that ``row.holds``."""
    held: list[JsonSchemaValue] = []
    if row.exact:
        held.append({"enum": sorted(row.exact)})
    starts = [f"^{_cased(prefix, row)}" for prefix in row.prefixes]
    ends = [f"{_cased(suffix, row)}$" for suffix in row.suffixes]
    if starts or ends:
        spared = {"not": {"pattern": f"^({'|'.join(row.spared)})"}} if row.spared else {}
        held.append({"pattern": "|".join([*starts, *ends])} | spared)
    return held


def _cased(part: str, row: Reserved) -> str:
    if not row.any_case:
        return part
    return "".join(f"[{each}{each.lower()}]" if each.isalpha() else each for each in part)
