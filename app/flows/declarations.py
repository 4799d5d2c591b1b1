"""The tables of an ``agent-config.yml``, each the shape of one thing that can be declared."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, Tag, model_validator

from app.flows.declared_types import (
    Audience,
    Audiences,
    IdTokenName,
    InputName,
    Line,
    Resource,
    RunTime,
    Scope,
    SecretName,
    ShortForm,
    Text,
    TokenLife,
    TokenReference,
    VariableName,
    VariableValue,
    VaultField,
    VaultPath,
    text_or_list,
    text_or_table,
)
from app.flows.expansion import references
from app.flows.vault_reference import Engine, VaultReference, from_short_form

MAX_TABLE = 64
"""Entries of one table: each is a signature, a call to Vault, or a variable of the run."""


class Declaration(BaseModel):
    """A table of known keys; none of its refusals repeats a value."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class IdTokenDeclaration(Declaration):
    """An ID token that each run of the flow gets in the variable of this name."""

    aud: Annotated[
        Annotated[Audience, Tag("text")] | Annotated[Audiences, Tag("list")], Discriminator(text_or_list)
    ]
    """Who the token is for; `$NAME` is expanded from variables, never from inputs."""
    ttl: TokenLife | None = None
    """How long it lives, `1h` at most; the server's default when absent."""

    @property
    def audiences(self) -> tuple[str, ...]:
        """As declared, not expanded."""
        return (self.aud,) if isinstance(self.aud, str) else self.aud

    @cached_property
    def asked_variables(self) -> frozenset[str]:
        """The names that its audiences are expanded from."""
        return frozenset[str]().union(*map(references, self.audiences))


class VaultEngine(Declaration):
    """A secrets engine of Vault."""

    name: Engine
    path: VaultPath
    """Where the engine is mounted."""


class VaultSecret(Declaration):
    """The long form of a secret's place in Vault."""

    engine: VaultEngine
    path: VaultPath
    field: VaultField


class SecretDeclaration(Declaration):
    """A secret that is read for each run of the flow, with one of its ID tokens."""

    vault: Annotated[
        Annotated[ShortForm, Tag("text")] | Annotated[VaultSecret, Tag("table")], Discriminator(text_or_table)
    ]
    """`path/field@mount` of a KV version 2 engine (mount `kv-v2` when absent), or the long form."""
    token: TokenReference | None = None
    """`$NAME` of the ID token to log in with; needed when more than one is declared."""
    file: StrictBool = True
    """Whether the variable holds the path of a file instead of the value."""

    @property
    def reference(self) -> VaultReference:
        if isinstance(self.vault, str):
            return from_short_form(self.vault)
        return VaultReference(
            self.vault.engine.name, self.vault.engine.path, self.vault.path, self.vault.field
        )

    @property
    def token_name(self) -> str | None:
        """The ID token that was named, without its `$`."""
        return self.token.strip("${}") if self.token else None


class InputDeclaration(Declaration):
    """What a starter may set; it reaches the steps as a variable and nothing else."""

    type: Literal["string"] = "string"
    description: Text | None = None
    default: Text | None = None
    """Taken when the starter sets nothing; without one the input has to be set."""
    options: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_TABLE)] | None = None
    """The only values it may have."""

    @model_validator(mode="after")
    def _default_is_an_option(self) -> Self:
        if self.options is not None and self.default is not None and self.default not in self.options:
            raise ValueError("its `default` is not one of its `options`: add it there")
        return self


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

    variables: Annotated[Mapping[VariableName, VariableValue], Field(max_length=256)] = {}
    id_tokens: Annotated[Mapping[IdTokenName, IdTokenDeclaration], Field(max_length=MAX_TABLE)] = {}
    secrets: Annotated[Mapping[SecretName, SecretDeclaration], Field(max_length=MAX_TABLE)] = {}


class FlowDeclaration(SharedTables):
    """One flow; its tables are laid over those at the top, same name replaces."""

    inputs: Annotated[Mapping[InputName, InputDeclaration], Field(max_length=MAX_TABLE)] = {}
    access_token: AccessTokenDeclaration = AccessTokenDeclaration()
    script: Annotated[tuple[Line, ...], Field(min_length=1, max_length=1000)]
    """The lines of one `sh -e`."""
    timeout: Annotated[RunTime, Field(json_schema_extra={"default": "1h"})] = timedelta(hours=1)
    """How long a run may take, `24h` at most."""
