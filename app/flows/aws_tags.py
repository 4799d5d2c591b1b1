"""Session tags of AWS, as a claim (IAM User Guide, "Pass session tags using AssumeRoleWithWebIdentity")."""

import re
from collections.abc import Mapping

from app.errors import InvalidInput
from app.protocol.claims import AWS_TAGS

KEYS = (
    "namespace_path",
    "project_id",
    "project_path",
    "user_id",
    "user_login",
    "user_access_level",
    "service_account_id",
    "service_account",
    "flow",
    "ref",
    "ref_type",
    "ref_protected",
)
"""Claims that become tags of the same name; a tag that the run has no claim for is absent."""
_VALUE = re.compile(r"[\w .:/=+@-]{1,256}")


def tags(claims: Mapping[str, object], key: str) -> dict[str, object]:
    """Every tag transitive: a role that is assumed from the first one cannot be told another value.

    ``InvalidInput`` when AWS would take a value for malformed: it would refuse the whole session.
    """
    values = {name: str(claims[name]) for name in KEYS if name in claims}
    if refused := [name for name, value in values.items() if not _VALUE.fullmatch(value)]:
        raise InvalidInput(
            f"{key}.aws_tags: AWS takes no tag with the {refused[0]} of this run, only letters, digits, "
            "spaces and _.:/=+-@, 256 at most: rename it, or leave aws_tags out"
        )
    principal_tags = {name: [value] for name, value in values.items()}
    return {AWS_TAGS: {"principal_tags": principal_tags, "transitive_tag_keys": [*values]}}
