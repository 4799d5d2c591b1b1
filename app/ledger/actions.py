"""The vocabulary of the ledger: ``source:subject:verb``. ``docs/reference/audit.md`` lists each."""

from enum import StrEnum


class AuditAction(StrEnum):
    USER_CREATE = "identity:user:create"
    USER_DISABLE = "identity:user:disable"
    USER_ENABLE = "identity:user:enable"
    PERSONAL_ACCESS_TOKEN_CREATE = "identity:personal_access_token:create"
    PERSONAL_ACCESS_TOKEN_REVOKE = "identity:personal_access_token:revoke"
    SERVICE_ACCOUNT_CREATE = "identity:service_account:create"
    SERVICE_ACCOUNT_DISABLE = "identity:service_account:disable"
    SERVICE_ACCOUNT_ENABLE = "identity:service_account:enable"
    CLIENT_SECRET_CREATE = "identity:client_secret:create"
    CLIENT_SECRET_REVOKE = "identity:client_secret:revoke"
    CLIENT_AUTHENTICATE = "identity:client:authenticate"
    PROJECT_CREATE = "identity:project:create"
    PROJECT_VARIABLE_SET = "identity:project_variable:set"
    MEMBER_ADD = "identity:member:add"
    MEMBER_REMOVE = "identity:member:remove"
    DELEGATION_GRANT = "identity:delegation:grant"
    DELEGATION_REVOKE = "identity:delegation:revoke"
    SIGNING_KEY_CREATE = "keys:signing_key:create"
    AUDIENCE_ADD = "tokens:audience:add"
    AUDIENCE_REMOVE = "tokens:audience:remove"
    ACCESS_TOKEN_ISSUE = "tokens:access_token:issue"
    ID_TOKEN_ISSUE = "tokens:id_token:issue"
    CONFIGURATION_SET = "flows:configuration:set"
    RUN_CREATE = "flows:run:create"
    RUN_START = "flows:run:start"
    RUN_FINISH = "flows:run:finish"
    RUN_CANCEL = "flows:run:cancel"
    VAULT_TOKEN_REVOKE = "flows:vault_token:revoke"
    SECRET_READ = "flows:secret:read"


class Outcome(StrEnum):
    SUCCESS = "success"
    DENIED = "denied"
    FAILED = "failed"
