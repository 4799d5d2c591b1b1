"""What a project's configuration lets be started, read for whoever is about to."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from app.errors import InvalidInput, NotFound
from app.flows import configurations as stored
from app.flows.configuration import Configuration, Flow, parse
from app.flows.declared_inputs import InputDeclaration
from app.flows.expansion import expand
from app.flows.sources import ref_claims
from app.flows.vault_reference import VaultReference
from app.identity.models import Project
from app.identity.projects import variables_of
from app.operations.call import Call
from app.operations.operation import By, Resource
from app.operations.places import ProjectPath, readable_project
from app.operations.schemas import Output
from app.protocol import subjects
from app.representation import Shape

flows = Resource("Flows")


class InputAnswer(Output):
    """`default` is `null` for one that has to be given."""

    name: str
    type: Literal["string", "number", "boolean"]
    description: str | None
    default: str | None
    options: list[str] | None
    regex: str | None


class DeclaredTokenAnswer(Output):
    """`aud` as it is now, variables expanded; `refusal` where one of them is missing."""

    name: str
    aud: list[str]
    ttl: int | None
    refusal: str | None


class DeclaredSecretAnswer(Output):
    """`token` is the name of the ID token that opens it."""

    name: str
    token: str
    store: Literal["vault", "aws_secrets_manager"]
    place: str
    file: bool


class FlowAnswer(Output):
    """`subject` is the `sub` of its ID tokens, with `{…}` for what is known at a start alone."""

    name: str
    timeout: int
    image: str | None
    scopes: list[str]
    subject: str
    inputs: list[InputAnswer]
    id_tokens: list[DeclaredTokenAnswer]
    secrets: list[DeclaredSecretAnswer]


class WarningAnswer(Output):
    place: str
    message: str


class FlowsAnswer(Output):
    """`configuration` is the number of the version that says so."""

    configuration: int
    flows: list[FlowAnswer]
    warnings: list[WarningAnswer]


@flows.operation("GET", "/projects/{+path}/flows", by=By.ANYBODY, answer=FlowsAnswer)
def list_flows(call: Call, path: ProjectPath) -> Shape:
    """List the flows of a project's configuration, with what they declare, and the linter's warnings."""
    project = readable_project(call, path)
    try:
        version = stored.newest(call.session, project)
    except NotFound:
        raise NotFound from None
    configuration = _parsed(version.body)
    known = variables_of(call.session, project.id)
    refs = ref_claims(version)
    told = [_flow(configuration.flow(name), project, known, refs) for name in configuration.flows]
    warnings = [{"place": each.place, "message": each.message} for each in configuration.warnings]
    return {"configuration": version.id, "flows": told, "warnings": warnings}


@lru_cache(maxsize=16)
def _parsed(body: bytes) -> Configuration:
    """A large one takes long to parse, and whoever looks at it looks again."""
    return parse(body)


def _flow(flow: Flow, project: Project, variables: Mapping[str, str], refs: Mapping[str, str]) -> Shape:
    known = {**flow.variables, **variables}
    return {
        "name": flow.name,
        "timeout": int(flow.timeout.total_seconds()),
        "image": flow.image,
        "scopes": list(flow.access_token.scopes),
        "subject": _subject(project, flow.name, refs),
        "inputs": [_input(name, each) for name, each in flow.inputs.items()],
        "id_tokens": [_token(flow, name, known) for name in flow.id_tokens],
        "secrets": [_secret(flow, name) for name in flow.secrets],
    }


def _subject(project: Project, flow: str, refs: Mapping[str, str]) -> str:
    known = {"project_path": project.path, "project_id": str(project.id), "flow": flow, **refs}
    components = subjects.parse(project.subject)
    return ":".join(
        subjects.subject([name], known) if name in known else f"{name}:{{{name}}}" for name in components
    )


def _input(name: str, declared: InputDeclaration) -> Shape:
    options = getattr(declared, "options", None)
    said = {"name": name, "type": declared.type, "description": declared.description}
    return said | {
        "default": declared.default,
        "options": None if options is None else list(options),
        "regex": getattr(declared, "regex", None),
    }


def _token(flow: Flow, name: str, variables: Mapping[str, str]) -> Shape:
    declared, refusal = flow.id_tokens[name], None
    audiences: list[str] = []
    for text in declared.audiences:
        try:
            audiences.append(expand(text, variables, name))
        except InvalidInput as error:
            audiences.append(text)
            refusal = str(error)
    ttl = declared.ttl and int(declared.ttl.total_seconds())
    return {"name": name, "aud": audiences, "ttl": ttl, "refusal": refusal}


def _secret(flow: Flow, name: str) -> Shape:
    secret = flow.secrets[name]
    return {"name": name, "token": secret.token, "file": secret.file} | _place(secret.reference)


def _place(reference: Any) -> Shape:
    """As the short form of the configuration has it."""
    if isinstance(reference, VaultReference):
        place = f"{reference.path}/{reference.field}@{reference.mount}"
        return {"store": "vault", "place": place}
    place = reference.secret_id if reference.field is None else f"{reference.secret_id}#{reference.field}"
    return {"store": "aws_secrets_manager", "place": place}
