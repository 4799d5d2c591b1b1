"""The description of the API (OpenAPI 3.1.1), from the operations themselves."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from app.operations.operation import By, Operation
from app.operations.schemas import ProblemBody
from app.representation import Shape
from app.tokens.audiences import api_of

_REF = "#/components/schemas/{model}"
Schemas = Mapping[type[BaseModel], Shape]
_TOKEN: Shape = {"personal_access_token": []}
_NOT_MODIFIED: Shape = {
    "description": HTTPStatus.NOT_MODIFIED.phrase,
    "headers": {"ETag": {"schema": {"type": "string"}}},
}
_SECURITY = {
    By.ANYBODY: [_TOKEN, {"access_token": []}],
    By.PERSON: [_TOKEN],
    By.OVERSEER: [_TOKEN],
    By.ADMINISTRATOR: [_TOKEN],
    By.RUN: [{"run_token": []}],
}


def document(operations: Sequence[Operation], issuer: str) -> Shape:
    schemas, definitions = _schemas(operations)
    paths: dict[str, dict[str, Shape]] = {}
    for each in operations:
        paths.setdefault(each.openapi_path, {})[each.method.lower()] = _operation(each, schemas)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Countersign administration API", "version": version("countersign-idp")},
        "servers": [{"url": api_of(issuer)}],
        "tags": [{"name": name} for name in dict.fromkeys(each.tag for each in operations)],
        "paths": paths,
        "components": {"schemas": definitions, "securitySchemes": _schemes()},
    }


def _whom(by: By) -> str:
    how = ", by a personal access token with scope api" if _SECURITY[by] == [_TOKEN] else ""
    return f"For {by.value}{how}."


def _operation(operation: Operation, schemas: Schemas) -> Shape:
    described: Shape = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": _whom(operation.by),
        "tags": [operation.tag],
        "security": _SECURITY[operation.by],
        "parameters": [*_parameters(operation.path, "path"), *_conditions(operation)],
        "responses": {str(status): _answer(operation, status, schemas) for status in operation.statuses}
        | ({"304": _NOT_MODIFIED} if operation.method == "GET" else {})
        | {str(status): _problem(status, schemas) for status in _problems(operation)},
    }
    if operation.query is not None:
        described["parameters"] += _parameters(operation.query, "query")
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _json(schemas[operation.body])}
    if operation.takes is not None:
        described["requestBody"] = {"required": True, "content": {operation.takes: {"schema": {}}}}
    return described


def _parameters(model: type[BaseModel], place: str) -> list[Shape]:
    schema = model.model_json_schema(ref_template=_REF)
    required = schema.get("required", [])
    return [
        {"name": name, "in": place, "required": place == "path" or name in required} | _split(each)
        for name, each in schema.get("properties", {}).items()
    ]


def _split(schema: Shape) -> Shape:
    """A parameter's text and example stand beside its schema; absence is no ``null`` there."""
    schema = {name: value for name, value in schema.items() if name not in {"title", "default"}} | (
        {"default": schema["default"]} if schema.get("default") is not None else {}
    )
    described = {"description": schema.pop("description")} if "description" in schema else {}
    examples = [each for each in schema.pop("examples", []) if each is not None]
    if "anyOf" in schema:
        [one] = [each for each in schema.pop("anyOf") if each != {"type": "null"}]
        schema |= one
    return described | ({"example": examples[0]} if examples else {}) | {"schema": schema}


def _conditions(operation: Operation) -> list[Shape]:
    names = {
        "Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"' if operation.keyed else None,
        "If-Match": "*" if operation.conditional else None,
        "If-None-Match": {"PUT": "*", "GET": '"an ETag"'}.get(operation.method),
    }
    return [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "example": example}
        for name, example in names.items()
        if example is not None
    ]


def _problems(operation: Operation) -> list[int]:
    found = {400, 401, 403, 405, 503}
    found |= {404} if operation.path.model_fields else set()
    found |= {409} if operation.opens == "writing" else set()
    found |= {412} if operation.conditional or operation.method == "GET" else set()
    found |= {413, 415} if operation.body or operation.takes else set()
    return sorted(found | {422, *operation.problems})


def _answer(operation: Operation, status: int, schemas: Schemas) -> Shape:
    described: Shape = {"description": HTTPStatus(status).phrase}
    text = {"schema": {"type": "string"}}
    if operation.gives is not None:
        return described | {"headers": {"ETag": text}, "content": {operation.gives: text}}
    if operation.answer is None or status == HTTPStatus.NO_CONTENT:
        return described
    headers = {"ETag": text} | ({"Location": text} if status == HTTPStatus.CREATED else {})
    return described | {"headers": headers, "content": _json(schemas[operation.answer])}


def _problem(status: int, schemas: Schemas) -> Shape:
    content = {"application/problem+json": {"schema": schemas[ProblemBody]}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _json(schema: Shape) -> Shape:
    return {"application/json": {"schema": schema}}


def _schemas(operations: Sequence[Operation]) -> tuple[Schemas, Shape]:
    """Of each model the reference to its definition, and all definitions."""
    inputs = [each.body for each in operations if each.body is not None]
    outputs: list[type[BaseModel]] = [
        ProblemBody,
        *(each.answer for each in operations if each.answer is not None),
    ]
    models: dict[type[BaseModel], JsonSchemaMode] = dict.fromkeys(inputs, "validation")
    models |= dict.fromkeys(outputs, "serialization")
    references, schema = models_json_schema([*models.items()], ref_template=_REF)
    definitions: Shape = schema["$defs"]
    for query in {each.query for each in operations if each.query is not None}:
        definitions |= query.model_json_schema(ref_template=_REF).get("$defs", {})
    return {model: references[model, mode] for model, mode in models.items()}, definitions


def _schemes() -> Shape:
    return {
        "personal_access_token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A human's own: `cspat_…`, from `countersign user token create`.",
        },
        "access_token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token whose audience is this API.",
        },
        "run_token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A run's own, in its `COUNTERSIGN_RUN_TOKEN`; dead when the run ends.",
        },
    }
