"""OpenID AuthZEN Authorization API 1.0: its requests, read strictly; unknown keys are ignored (§4).

A fault names the key, never what was given for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

CONFIGURATION = "/.well-known/authzen-configuration"
EVALUATION = "/access/v1/evaluation"
EVALUATIONS = "/access/v1/evaluations"
MOST_EVALUATIONS = 256


class MalformedRequest(ValueError):  # noqa: N818 - its text is for the caller
    """What is wrong, by the key."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A subject or a resource (§5.1, §5.2)."""

    type: str
    id: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """§6.1; ``context`` is checked for its type, and nothing in it changes a decision."""

    subject: Entity
    action: str
    resource: Entity


class Semantic(StrEnum):
    """§7.1.2.1: when to stop."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"

    def ends_at(self, *, decision: bool) -> bool:
        last = {Semantic.DENY_ON_FIRST_DENY: False, Semantic.PERMIT_ON_FIRST_PERMIT: True}
        return last.get(self) is decision


@dataclass(frozen=True, slots=True)
class Batch:
    """One fault does not spoil the others: it is denied in its place (§7.2.1)."""

    evaluations: tuple[Evaluation | MalformedRequest, ...]
    semantic: Semantic


def read_evaluation(body: object) -> Evaluation:
    request = _object(body, "the request")
    action = _object(request.get("action"), "action")
    _properties(action, "action")
    if "context" in request:
        _object(request["context"], "context")
    return Evaluation(
        _entity(request.get("subject"), "subject"),
        _text(action, "name", "action"),
        _entity(request.get("resource"), "resource"),
    )


def read_evaluations(body: object) -> Evaluation | Batch:
    """Without ``evaluations``, or with none in it, the request is a single one (§7.1)."""
    request = _object(body, "the request")
    listed = request.get("evaluations", [])
    if not isinstance(listed, list):
        raise MalformedRequest("evaluations must be an array")
    if not listed:
        return read_evaluation(request)
    if len(listed) > MOST_EVALUATIONS:
        raise MalformedRequest(f"evaluations: at most {MOST_EVALUATIONS} in one request")
    return Batch(tuple(_evaluation(each, request) for each in listed), _semantic(request))


def _evaluation(given: object, defaults: Mapping[str, Any]) -> Evaluation | MalformedRequest:
    """A key of its own takes the place of the default as a whole (§7.1.1)."""
    inherited = {
        key: defaults[key] for key in ("subject", "action", "resource", "context") if key in defaults
    }
    try:
        return read_evaluation(inherited | _object(given, "an evaluation"))
    except MalformedRequest as fault:
        return fault


def _semantic(request: Mapping[str, Any]) -> Semantic:
    options = _object(request.get("options", {}), "options")
    try:
        return Semantic(options.get("evaluations_semantic", Semantic.EXECUTE_ALL))
    except ValueError:
        raise MalformedRequest(f"options.evaluations_semantic: use one of {', '.join(Semantic)}") from None


def _entity(value: object, key: str) -> Entity:
    entity = _object(value, key)
    return Entity(_text(entity, "type", key), _text(entity, "id", key), _properties(entity, key))


def _properties(entity: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _object(entity.get("properties", {}), f"{key}.properties")


def _object(value: object, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedRequest(f"{key} must be an object")
    return value


def _text(entity: Mapping[str, Any], key: str, of: str) -> str:
    value = entity.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedRequest(f"{of}.{key} must be a string that is not empty")
    return value


def pdp_metadata(issuer: str) -> dict[str, str]:
    """§9.1.1: what is there, and nothing of what is not."""
    return {
        "policy_decision_point": issuer,
        "access_evaluation_endpoint": issuer + EVALUATION,
        "access_evaluations_endpoint": issuer + EVALUATIONS,
    }
