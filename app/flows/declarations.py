"""The tables of an ``agent-config.yml``, each the shape of one thing that can be declared."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, StrictBool, Tag, model_validator

from app.flows.declaration import Declaration
from app.flows.declared_inputs import InputDeclaration
from app.flows.declared_secrets import SecretDeclaration
from app.flows.declared_types import (
    MAX_TABLE,
    Audience,
    Audiences,
    IdTokenName,
    Image,
    InputName,
    Resource,
    RunTime,
    Scope,
    Script,
    SecretName,
    SetupScript,
    TokenLife,
    VariableName,
    VariableValue,
    text_or_list,
)
from app.flows.expansion import references


class IdTokenDeclaration(Declaration):
    """An ID token that each run of the flow gets in the variable of this name."""

    aud: Annotated[
        Annotated[Audience, Tag("text")] | Annotated[Audiences, Tag("list")], Discriminator(text_or_list)
    ]
    """Who the token is for; `$NAME` is expanded from variables, never from inputs."""
    ttl: TokenLife | None = None
    """How long it lives, `1h` at most; the server's default when absent."""
    aws_tags: StrictBool = False
    """Whether it carries principal tags for AWS (`https://aws.amazon.com/tags`)."""

    @property
    def audiences(self) -> tuple[str, ...]:
        """As declared, not expanded."""
        return (self.aud,) if isinstance(self.aud, str) else self.aud

    @cached_property
    def asked_variables(self) -> frozenset[str]:
        """The names that its audiences are expanded from."""
        return frozenset[str]().union(*map(references, self.audiences))


class AccessTokenDeclaration(Declaration):
    """The composite access token of the run."""

    scopes: Annotated[tuple[Scope, ...], Field(max_length=MAX_TABLE)] = ()
    """Beside the `user:` scope, which the run adds; at most those of the delegation are granted."""
    resource: Resource | None = None
    """The audience, a registered one (RFC 8707 §2); our own API when absent."""

    @model_validator(mode="after")
    def _each_scope_once(self) -> Self:
        if len(set(self.scopes)) != len(self.scopes):
            raise ValueError("a scope stands in `scopes` twice: name it once")
        return self


class SharedTables(Declaration):
    """What stands at the top for every flow, and in a flow for itself."""

    image: Image | None = None
    """Used by executors that have images; a flow's own replaces that at the top."""
    setup_script: SetupScript | None = None
    """Lines that run before those of `script`; a flow's own replace those at the top."""
    variables: Annotated[Mapping[VariableName, VariableValue], Field(max_length=256)] = {}
    """For the steps, for `aud`, and for where Vault and AWS are."""
    id_tokens: Annotated[Mapping[IdTokenName, IdTokenDeclaration], Field(max_length=MAX_TABLE)] = {}
    """One per name, in the variable of that name."""
    secrets: Annotated[Mapping[SecretName, SecretDeclaration], Field(max_length=MAX_TABLE)] = {}
    """One per name, in the variable of that name, or in the file that it names."""
    cache: Annotated[dict[str, Any] | None, Field(json_schema_extra={"deprecated": True})] = None
    """Taken from configurations written for GitLab; it has no effect here."""


class FlowDeclaration(SharedTables):
    """One flow; its tables are laid over those at the top, same name replaces."""

    inputs: Annotated[Mapping[InputName, InputDeclaration], Field(max_length=MAX_TABLE)] = {}
    """What whoever starts it may set."""
    access_token: AccessTokenDeclaration = AccessTokenDeclaration()
    script: Script
    """The lines of one `sh -e`."""
    timeout: Annotated[RunTime, Field(json_schema_extra={"default": "1h"})] = timedelta(hours=1)
    """How long a run may take, `24h` at most."""
