"""Where a secret lies, in the words of GitLab's ``secrets``."""

from typing import Annotated, Self

from pydantic import ConfigDict, Discriminator, StrictBool, Tag, model_validator

from app.flows import aws_reference, vault_reference
from app.flows.aws_reference import AwsSecretReference
from app.flows.declaration import Declaration
from app.flows.declared_types import (
    AwsField,
    AwsName,
    AwsRegion,
    AwsRoleArn,
    AwsSessionName,
    AwsShortForm,
    AwsVersionId,
    TokenReference,
    VaultField,
    VaultPath,
    VaultShortForm,
    text_or_table,
)
from app.flows.vault_reference import Engine, VaultReference

SecretReference = VaultReference | AwsSecretReference


class VaultEngine(Declaration):
    """A secrets engine of Vault."""

    name: Engine
    """`generic` is read as `kv-v1` is."""
    path: VaultPath
    """Where the engine is mounted."""


class VaultSecret(Declaration):
    """The long form of a secret's place in Vault."""

    engine: VaultEngine
    path: VaultPath
    """Of the secret, in the engine."""
    field: VaultField
    """The one that is the secret."""

    @property
    def reference(self) -> VaultReference:
        return VaultReference(self.engine.name, self.engine.path, self.path, self.field)


class AwsSecret(Declaration):
    """The long form of a secret's place in AWS Secrets Manager."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["version_id", "version_stage"]}})

    secret_id: AwsName
    """Its name, or its ARN."""
    field: AwsField | None = None
    """A key of the flat JSON object that the secret is; the whole secret when absent."""
    version_id: AwsVersionId | None = None
    """One version for good."""
    version_stage: AwsField | None = None
    """A staging label; `AWSCURRENT` when neither is given."""
    region: AwsRegion | None = None
    """Instead of the variable `AWS_REGION`."""
    role_arn: AwsRoleArn | None = None
    """Instead of the variable `AWS_ROLE_ARN`."""
    role_session_name: AwsSessionName | None = None
    """Instead of the variable `AWS_ROLE_SESSION_NAME`."""

    @model_validator(mode="after")
    def _one_version(self) -> Self:
        if self.version_id is not None and self.version_stage is not None:
            raise ValueError("a version by `version_id` and by `version_stage`: keep one")
        return self

    @property
    def reference(self) -> AwsSecretReference:
        return AwsSecretReference(**self.model_dump())


class SecretDeclaration(Declaration):
    """A secret that is read for each run of the flow, with one of its ID tokens."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["vault"]}, {"required": ["aws_secrets_manager"]}]}
    )

    vault: (
        Annotated[
            Annotated[VaultShortForm, Tag("text")] | Annotated[VaultSecret, Tag("table")],
            Discriminator(text_or_table),
        ]
        | None
    ) = None
    """`path/field@mount` of a KV version 2 engine (mount `kv-v2` when absent), or the long form."""
    aws_secrets_manager: (
        Annotated[
            Annotated[AwsShortForm, Tag("text")] | Annotated[AwsSecret, Tag("table")],
            Discriminator(text_or_table),
        ]
        | None
    ) = None
    """`secret_id#field`, `secret_id` for the whole secret, or the long form."""
    token: TokenReference | None = None
    """`$NAME` of the ID token to log in with; needed when more than one is declared."""
    file: StrictBool = True
    """Whether the variable holds the path of a file instead of the value."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.vault is None) == (self.aws_secrets_manager is None):
            raise ValueError("lies in one place: give it either `vault` or `aws_secrets_manager`")
        return self

    @property
    def reference(self) -> SecretReference:
        if isinstance(self.vault, str):
            return vault_reference.from_short_form(self.vault)
        if isinstance(self.aws_secrets_manager, str):
            return aws_reference.from_short_form(self.aws_secrets_manager)
        if (long := self.vault or self.aws_secrets_manager) is None:
            raise AssertionError("a validated secret lies in one place")
        return long.reference

    @property
    def token_name(self) -> str | None:
        """The ID token that was named, without its `$`."""
        return self.token.strip("${}") if self.token else None
