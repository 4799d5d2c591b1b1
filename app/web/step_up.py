"""What asks for a sign-in of a moment ago (ASVS 7.5.3): a browser left alone must not break trust, nor leave
behind what outlives it. Revoking asks for none, for it may be urgent.
"""

from datetime import timedelta

RECENT = timedelta(minutes=10)

NEEDS_RECENT_SIGN_IN = frozenset(
    {
        *("rotate_keys", "revoke_key", "put_audience", "delete_audience"),
        *("put_user", "put_user_active", "set_password", "issue_sign_in_link"),
        *("create_secret", "create_token", "kill_everything_of"),
        *("put_service_account", "put_service_account_active", "grant_delegation"),
        *("put_project_member", "put_group_member", "put_source", "put_configuration", "delete_project"),
    }
)
"""Operations, by id."""


class SignInAgain(Exception):  # noqa: N818 - an answer
    """The sign-in is too long ago for this."""
