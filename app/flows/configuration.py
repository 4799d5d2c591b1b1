"""``agent-config.yml``: the one model of it, and a flow as it takes effect."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Annotated

from pydantic import Field, PrivateAttr, ValidationError

from app.errors import InvalidInput
from app.flows import wording, yaml_source
from app.flows.agreement import disagreements
from app.flows.declarations import (
    AccessTokenDeclaration,
    FlowDeclaration,
    IdTokenDeclaration,
    SharedTables,
)
from app.flows.declared_inputs import InputDeclaration
from app.flows.declared_secrets import SecretDeclaration, SecretReference
from app.flows.declared_types import FlowName
from app.flows.faults import MAX_FAULTS, ConfigurationError, Fault, Path
from app.flows.yaml_values import Source

__all__ = ["Configuration", "ConfigurationError", "Fault", "Flow", "FlowSecret", "parse"]

SHOWN_FLOWS = 20
ACCESS = "access_token:"
"""Its key in a flow's ``places``, where no name has a colon."""

_NO_CACHE = "has no effect: nothing is kept between runs"


@dataclass(frozen=True, slots=True)
class FlowSecret:
    """A secret in effect; ``token`` is the name of the ID token that reads it."""

    reference: SecretReference
    token: str
    file: bool


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow in effect: its own tables over those at the top, every secret with its token."""

    name: str
    image: str | None
    setup_script: tuple[str, ...]
    """Lines that come before those of ``script``, in the same shell; there may be none."""
    variables: Mapping[str, str]
    inputs: Mapping[str, InputDeclaration]
    id_tokens: Mapping[str, IdTokenDeclaration]
    secrets: Mapping[str, FlowSecret]
    access_token: AccessTokenDeclaration
    script: tuple[str, ...]
    timeout: timedelta
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each ID token and secret and, as ``ACCESS``, the access token is declared, as a fault of it
    begins: position and key.
    """


class Configuration(SharedTables):
    """The flows of a project, and what they have in common."""

    flows: Annotated[Mapping[FlowName, FlowDeclaration], Field(max_length=256)] = {}
    """What can be started, by name."""
    _source: Source = PrivateAttr(default_factory=Source)

    def flow(self, name: str) -> Flow:
        """The flow in effect; ``InvalidInput`` when there is none of that name."""
        own = self.flows.get(name)
        if own is None:
            raise InvalidInput(f"flow: the configuration has no flow of that name: {self._known_flows()}")
        id_tokens = {**self.id_tokens, **own.id_tokens}
        secrets = {**self.secrets, **own.secrets}
        return Flow(
            name=name,
            image=own.image or self.image,
            setup_script=self.setup_script or () if own.setup_script is None else own.setup_script,
            variables={**self.variables, **own.variables},
            inputs=own.inputs,
            id_tokens=id_tokens,
            secrets={each: _in_effect(secret, id_tokens) for each, secret in secrets.items()},
            access_token=own.access_token,
            script=own.script,
            timeout=own.timeout,
            places={
                each: self._place(name, table, each)
                for table, declared in (("id_tokens", id_tokens), ("secrets", secrets))
                for each in declared
            }
            | {ACCESS: self._source.fault(("flows", name, "access_token"), "").place},
        )

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What is accepted and will disappoint, in the order of the file."""
        tables = ((), self), *((("flows", name), flow) for name, flow in self.flows.items())
        paths = [(*where, "cache") for where, table in tables if table.cache is not None]
        found = [self._source.fault(path, _NO_CACHE) for path in paths]
        return tuple(sorted(found, key=lambda fault: (fault.line, fault.column)))

    def _place(self, flow: str, table: str, name: str) -> str:
        own = ("flows", flow, table, name)
        return self._source.fault(own if own in self._source.positions else (table, name), "").place

    def _known_flows(self) -> str:
        known = sorted(self.flows)
        more = " …" if known[SHOWN_FLOWS:] else ""
        return f"it has {', '.join(known[:SHOWN_FLOWS])}{more}" if known else "declare it under `flows:`"


def parse(body: bytes, most: int | None = MAX_FAULTS) -> Configuration:
    """The configuration in ``body``, or a ``ConfigurationError`` with ``most`` faults at once, or all."""
    source = yaml_source.load(body)
    found: Iterable[tuple[Path, str]] = ()
    try:
        configuration = Configuration.model_validate(source.data)
        configuration._source = source  # noqa: SLF001 - its own module
        if not source.faults:
            found = disagreements(configuration, configuration.flows).items()
    except ValidationError as error:
        found = wording.refusals(error, Configuration, source.positions)
    faults = {(fault.line, fault.column, fault.key): fault for fault in source.faults}
    for path, message in islice(found, most):
        fault = source.fault(path, message)
        faults.setdefault((fault.line, fault.column, fault.key), fault)
    if faults:
        raise ConfigurationError(faults.values())
    return configuration


def _in_effect(secret: SecretDeclaration, id_tokens: Mapping[str, IdTokenDeclaration]) -> FlowSecret:
    return FlowSecret(secret.reference, secret.token_name or next(iter(id_tokens)), secret.file)
