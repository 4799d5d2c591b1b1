"""Secrets from AWS Secrets Manager, with a role that the run's ID token assumes; never with keys of ours."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from app.errors import InvalidInput
from app.flows.aws_reference import AwsSecretReference, check_region, check_role_arn, check_session_name
from app.flows.outbound import Outbound
from app.flows.secret_values import SecretRead, SecretUnavailable, field_text, fit_to_show, json_of
from app.flows.transport import OutboundRefusal
from app.secret import Secret

_LEAST_SECONDS = 900
"""The shortest life that AssumeRoleWithWebIdentity gives credentials; nobody can end them before."""
_READ_SECRETS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["secretsmanager:GetSecretValue", "kms:Decrypt"],
                "Resource": "*",
            }
        ],
    },
    separators=(",", ":"),
)
"""The session's own policy: of what the role may, no more than this."""
_Answer = Mapping[str, Any]
_NOT_AWS = "its answer is not that of AWS"
_LACKING = "boto3 is not installed here: the operator adds the extra, `countersign-idp[aws]`"


@dataclass(frozen=True)
class AwsRole:
    """Who reads, and where."""

    region: str
    arn: str
    session_name: str

    @classmethod
    def of(cls, reference: AwsSecretReference, variables: Mapping[str, str], run_id: int) -> Self:
        """What the reference leaves out comes from the variables, by GitLab's names; an empty one is absent.

        Without a name the session is named for the run, as AWS's CloudTrail will show it.
        """
        return cls(
            reference.region or _variable(variables, "AWS_REGION", check_region),
            reference.role_arn or _variable(variables, "AWS_ROLE_ARN", check_role_arn),
            reference.role_session_name
            or _variable(variables, "AWS_ROLE_SESSION_NAME", check_session_name, f"countersign-run-{run_id}"),
        )


class AwsSecretsManager:
    """The way to AWS's STS and Secrets Manager, through ``outbound`` and nothing else.

    ``endpoint``: of both, instead of AWS's own.
    """

    def __init__(self, outbound: Outbound, endpoint: str | None = None) -> None:
        self._outbound, self._endpoint = outbound, endpoint

    def assume(self, role: AwsRole, id_token: Secret) -> "AwsSession":
        """Presents ``id_token`` to STS. Raises SecretUnavailable."""
        step = f"cannot assume {role.arn} in {role.region}"
        try:
            from app.flows.aws_client import AwsCredentials, aws_client
        except ImportError:
            raise SecretUnavailable(f"{step}: {_LACKING}") from None

        def question() -> _Answer:
            sts = aws_client("sts", role.region, self._outbound, self._endpoint, None)
            answer: _Answer = sts.assume_role_with_web_identity(
                RoleArn=role.arn,
                RoleSessionName=role.session_name,
                WebIdentityToken=id_token.reveal(),
                DurationSeconds=_LEAST_SECONDS,
                Policy=_READ_SECRETS,
            )
            return answer

        given = _asked(step, question, [id_token]).get("Credentials")
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        match [given.get(name) for name in names] if isinstance(given, Mapping) else None:
            case [str() as key_id, str() as key, str() as token] if key_id and key and token:
                credentials = AwsCredentials(key_id, Secret(key), Secret(token))
            case _:
                raise SecretUnavailable(f"{step}: {_NOT_AWS}")

        def client() -> Any:
            return aws_client("secretsmanager", role.region, self._outbound, self._endpoint, credentials)

        return AwsSession(role, client, hidden=(id_token, credentials.key, credentials.token))


class AwsSession:
    """A role that was assumed once; its credentials are in this process alone, and end by themselves."""

    def __init__(self, role: AwsRole, client: Callable[[], Any], *, hidden: Sequence[Secret]) -> None:
        self._role, self._new_client, self._hidden = role, client, hidden
        self._answers: dict[tuple[str, ...], _Answer] = {}

    def read(self, reference: AwsSecretReference) -> SecretRead:
        """The secret, or its field as text; bytes in base64, as GitLab does. Raises SecretUnavailable.

        A secret is asked for once: its fields are all of one version.
        """
        step = f"cannot read {reference.secret_id!r} from AWS Secrets Manager in {self._role.region}"
        which = _which(reference)
        if (key := (*which, *which.values())) not in self._answers:
            self._answers[key] = _asked(step, lambda: self._client.get_secret_value(**which), self._hidden)
        answer = self._answers[key]
        try:
            value = _value(answer, reference.field)
        except ValueError as fault:
            raise SecretUnavailable(f"{step}: {fault}") from None
        version = answer.get("VersionId")
        return SecretRead(Secret(value), version if isinstance(version, str) else None)

    @cached_property
    def _client(self) -> Any:
        return self._new_client()


def _which(reference: AwsSecretReference) -> dict[str, str]:
    named = {
        "SecretId": reference.secret_id,
        "VersionId": reference.version_id,
        "VersionStage": reference.version_stage,
    }
    return {name: value for name, value in named.items() if value is not None}


def _value(answer: _Answer, field: str | None) -> str:
    match answer:
        case {"SecretString": str() as text}:
            pass
        case {"SecretBinary": bytes() as content}:
            text = b64encode(content).decode()
        case _:
            raise ValueError(_NOT_AWS)
    if field is None:
        return field_text(text)
    match json_of(text):
        case dict() as fields if field in fields:
            return field_text(fields[field])
        case dict():
            raise ValueError("the secret has no such field")
        case _:
            raise ValueError("the secret is not the JSON object that a field is asked of")


def _asked(
    step: str, question: Callable[[], Mapping[str, Any]], hidden: Sequence[Secret]
) -> Mapping[str, Any]:
    """Raises SecretUnavailable with AWS's own words, as far as they are fit to be shown."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        return question()
    except OutboundRefusal as refusal:
        words = str(refusal)
    except ClientError as refusal:
        words = _words(refusal.response, hidden)
    except (BotoCoreError, ResponseParserError, ValueError, TypeError, AttributeError, LookupError):
        words = _NOT_AWS
    # Out here, not above: botocore's errors quote what was sent and what came, and would ride along.
    raise SecretUnavailable(f"{step}: {words}")


def _words(response: _Answer, hidden: Sequence[Secret]) -> str:
    error = response.get("Error", {})
    said = ": ".join(str(error[key]) for key in ("Code", "Message") if error.get(key))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    shown = fit_to_show(said, hidden)
    return f"it answers {status}" + (f": {shown}" if shown else "")


def _variable(
    variables: Mapping[str, str], name: str, check: Callable[[str], str | None], default: str | None = None
) -> str:
    if (value := variables.get(name) or default) is None:
        raise InvalidInput(
            f"{name} is not set: add it to the variables in agent-config.yml or the project, or to the secret"
        )
    if reason := check(value):
        raise InvalidInput(f"{name} {reason}")
    return value
