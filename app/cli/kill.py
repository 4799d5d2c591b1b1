"""``countersign kill``."""

import click

from app.cli.console import Command, Refused, installation, json_option, show
from app.errors import Refusal
from app.flows.kill import Killed, kill, told
from app.identity.cut_offs import CutOffKind


@click.command("kill", cls=Command)
@click.option("--token", metavar="JTI", help="One token.")
@click.option("--run", metavar="ID", help="A run and all that it was given.")
@click.option("--delegation", metavar="ID", help="A delegation and all that lives from it.")
@click.option("--service-account", metavar="NAME", help="All that an account holds, for whomever.")
@click.option("--user", metavar="LOGIN", help="All that anybody holds in a human's name.")
@click.option("--reason", required=True, help="For the ledger, and for those whose runs end.")
@json_option
def kill_command(reason: str, as_json: bool, **named: str | None) -> None:
    """End what a human, an account, a delegation, a run or a token gave rise to, at once and for ever.

    A human or an account is disabled as well, a delegation revoked, and runs are cancelled.

    Example: countersign kill --user alice --reason "laptop stolen"
    """
    given = [(CutOffKind(name), value) for name, value in named.items() if value is not None]
    if len(given) != 1:
        raise click.UsageError("name one of --token, --run, --delegation, --service-account and --user")
    [(kind, name)] = given
    with installation() as here:
        try:
            with here.writing() as session:
                killed = kill(session, kind, name, reason=reason, by=here.actor, now=here.now)
        except Refusal as refusal:
            raise Refused(str(refusal)) from None
    show(told(killed), _in_words(killed), as_json=as_json)


def _in_words(killed: Killed) -> str:
    after = killed.aftermath
    counts = {
        "access token": after.access_tokens,
        "ID token": after.id_tokens,
        "run": len(killed.runs),
        "personal access token": len(killed.personal_access_tokens),
    }
    ended = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())
    lines = [f"killed {killed.kind.replace('_', ' ')} {killed.target}: {ended}"]
    if after.accepted_offline_until is None:
        lines.append("nothing that was issued is still accepted anywhere")
    else:
        until = after.accepted_offline_until.isoformat(timespec="seconds")
        lines.append(f"CANNOT BE UNDONE: whoever verifies offline goes on accepting until {until}")
        lines += [f"  {audience}" for audience in after.audiences]
    return "\n".join(lines)
