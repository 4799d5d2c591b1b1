"""``countersign user sign-in-link``, ``user password`` and ``user session``."""

import sys

import click

from app import representation as shapes
from app.cli.console import Command, Commands, Number, installation, json_option, show, show_all
from app.clock import rfc3339
from app.identity import accounts, session_ends, sessions, sign_in_links
from app.protocol.principals import user_principal
from app.secret import Secret

_LONGEST_LINE = 10_000


@click.command("sign-in-link", cls=Command)
@click.argument("login")
@json_option
def sign_in_link(login: str, as_json: bool) -> None:
    """Print a link that signs a user in to the console, once, in the next 15 minutes.

    Whoever opens it is that user: hand it over as you would a password. An earlier one is dead.

    Example: countersign user sign-in-link alice
    """
    with installation() as here, here.writing() as session:
        issued = sign_in_links.issue(session, accounts.find_user(session, login), by=here.actor, now=here.now)
    url = sign_in_links.url(here.settings.issuer, issued.secret)
    show({"url": url, "expires_at": rfc3339(issued.expires_at)}, url, as_json=as_json)


@click.group(cls=Commands)
def password() -> None:
    """Passwords for the console.

    Example: countersign user password set alice
    """


@password.command("set")
@click.argument("login")
@json_option
def set_password(login: str, as_json: bool) -> None:
    """Set a user's password, asked for on the terminal or read from stdin; their sessions end.

    Example: countersign user password set alice
    """
    from app.identity import passwords

    with installation() as here:
        with here.reading() as session:
            user = accounts.find_user(session, login)
        new = passwords.hashed(_asked_for(), user.login, user.email)
        with here.writing() as session:
            ended = passwords.set_password(session, user, new, by=here.actor, now=here.now)
    shape = {"user": user_principal(user.id), "login": user.login, "sessions_ended": [*ended]}
    show(shape, f"{user.login} has a new password; {len(ended)} sessions ended", as_json=as_json)


@click.group(cls=Commands)
def session() -> None:
    """Sessions in the console.

    Example: countersign user session list alice
    """


@session.command("list")
@click.argument("login")
@json_option
def list_sessions(login: str, as_json: bool) -> None:
    """List where a user is signed in, the last used first.

    Example: countersign user session list alice
    """
    with installation() as here, here.reading() as reading:
        user, limits = accounts.find_user(reading, login), here.components.session_limits
        rows = sessions.of_user(reading, user.id, here.now, limits)
        told = [shapes.session(row, limits) for row in rows]
    columns = ("id", "method", "network", "agent", "last_seen_at", "expires_at")
    show_all(told, columns, f"{login} is signed in nowhere", as_json=as_json)


@session.command("revoke")
@click.argument("login")
@click.argument("session_id", metavar="ID", type=Number("a session"))
@json_option
def revoke_session(login: str, session_id: int, as_json: bool) -> None:
    """End a session of a user.

    Example: countersign user session revoke alice 3
    """
    with installation() as here, here.writing() as writing:
        user = accounts.find_user(writing, login)
        session_ends.end(writing, session_id, user_id=user.id, by=here.actor, now=here.now)
    shape = {"id": session_id, "revoked": True}
    show(shape, f"session {session_id} of {login} has ended", as_json=as_json)


def _asked_for() -> Secret:
    """Never an argument: those are seen by everybody on this host."""
    if sys.stdin.isatty():
        return Secret(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        return Secret(sys.stdin.readline(_LONGEST_LINE).removesuffix("\n"))
    except UnicodeDecodeError:
        raise click.UsageError("the password on stdin is not text in UTF-8") from None
