"""Which secret of AWS Secrets Manager is meant, in the words of GitLab's ``aws_secrets_manager``."""

import re
from dataclasses import dataclass

from app.errors import InvalidInput

_NAME = r"(arn:aws[a-z-]{0,16}:secretsmanager:[a-z0-9-]{1,32}:[0-9]{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}"
NAME_PATTERN = f"^{_NAME}$"
_FIELD = (
    r"[^\x00-\x20\x7f-\xa0]([^\x00-\x1f\x7f-\x9f]{0,254}[^\x00-\x20\x7f-\xa0])?"  # no control, no outer space
)
FIELD_PATTERN = f"^{_FIELD}$"
SHORT_FORM_PATTERN = f"^{_NAME}(#{_FIELD})?$"
REGION_PATTERN = r"^[a-z]{2,8}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$"
ROLE_ARN_PATTERN = r"^arn:aws[a-z-]{0,16}:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,512}$"
SESSION_NAME_PATTERN = r"^[A-Za-z0-9_+=,.@-]{2,64}$"
VERSION_ID_PATTERN = r"^[A-Za-z0-9-]{32,64}$"

_NOTHING_EXPANDED = "nothing is expanded in it"


@dataclass(frozen=True, slots=True)
class AwsSecretReference:
    """One secret, or one ``field`` of it when it is a flat JSON object.

    Without ``region``, ``role_arn`` and ``role_session_name`` those of the variables ``AWS_REGION``,
    ``AWS_ROLE_ARN`` and ``AWS_ROLE_SESSION_NAME`` count; without a version, the one at ``AWSCURRENT``.
    """

    secret_id: str
    field: str | None = None
    version_id: str | None = None
    version_stage: str | None = None
    region: str | None = None
    role_arn: str | None = None
    role_session_name: str | None = None

    def __post_init__(self) -> None:
        checks = (
            ("secret_id", check_name, self.secret_id),
            ("region", check_region, self.region),
            ("role_arn", check_role_arn, self.role_arn),
            ("role_session_name", check_session_name, self.role_session_name),
        )
        for name, check, value in checks:
            if value is not None and (reason := check(value)):
                raise InvalidInput(f"{name}: {reason}")


def from_short_form(text: str) -> AwsSecretReference:
    """``secret_id`` or ``secret_id#field``; the text has passed ``check_short_form``."""
    secret_id, _, field = text.partition("#")
    return AwsSecretReference(secret_id, field or None)


def check_short_form(text: str) -> str | None:
    """Why ``text`` names no secret; ``None`` when it does."""
    secret_id, mark, field = text.partition("#")
    if mark and not field:
        return "no field after the `#`: write `secret_id#field`, or `secret_id` for the whole secret"
    return check_name(secret_id) or (check_field(field) if mark else None)


def check_name(text: str) -> str | None:
    """Why ``text`` is neither a secret's name nor its ARN (GetSecretValue, ``SecretId``)."""
    fits = re.fullmatch(NAME_PATTERN, text)
    return None if fits else f"must be the name or the ARN of a secret, {_NOTHING_EXPANDED}"


def check_region(text: str) -> str | None:
    """Why ``text`` is no region; it becomes part of a host's name."""
    return None if re.fullmatch(REGION_PATTERN, text) else "must be a region such as `eu-west-1`"


def check_role_arn(text: str) -> str | None:
    """Why ``text`` is no role to assume."""
    fits = re.fullmatch(ROLE_ARN_PATTERN, text)
    return None if fits else "must be a role's ARN such as `arn:aws:iam::123456789012:role/deploy`"


def check_session_name(text: str) -> str | None:
    """Why ``text`` is no ``RoleSessionName`` (AssumeRoleWithWebIdentity)."""
    fits = re.fullmatch(SESSION_NAME_PATTERN, text)
    return None if fits else "must be 2 to 64 letters, digits or `_+=,.@-`"


def check_version_id(text: str) -> str | None:
    fits = re.fullmatch(VERSION_ID_PATTERN, text)
    return None if fits else "must be the id of a version, 32 to 64 letters, digits or `-`"


def check_field(text: str) -> str | None:
    """Why ``text`` is no key of a flat JSON object, or no staging label; ``None`` when it is one."""
    fits = re.fullmatch(FIELD_PATTERN, text)
    return None if fits else "must be 1 to 256 characters, without control characters and outer spaces"
