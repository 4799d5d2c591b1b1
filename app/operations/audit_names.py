"""What the principals in events are called, as far as whoever reads them may know."""

from collections.abc import Iterable

from sqlalchemy import select

from app.identity.models import ServiceAccount, User
from app.ledger.models import AuditRow
from app.ledger.search import Filter
from app.operations.call import Call
from app.protocol.principals import PrincipalKind, parse_principal, service_account_principal, user_principal


def names_of(call: Call, rows: Iterable[AuditRow], wanted: Filter) -> dict[str, str]:
    """Logins and accounts' names by principal; ``wanted``: what the rows were searched for, as allowed."""
    told = {each for row in rows for each in (row.actor, row.user, row.service_account) if each}
    numbers: dict[PrincipalKind, set[int]] = {kind: set() for kind in PrincipalKind}
    for kind, number in filter(None, map(parse_principal, told)):
        numbers[kind].add(number)
    humans, machines = numbers[PrincipalKind.USER], numbers[PrincipalKind.SERVICE_ACCOUNT]
    if _sees_their_own_alone(call, wanted):
        humans &= {call.caller.user_id or 0}
    users = select(User.id, User.login).where(User.id.in_(humans))
    accounts = select(ServiceAccount.id, ServiceAccount.name).where(ServiceAccount.id.in_(machines))
    return {user_principal(number): login for number, login in call.session.execute(users)} | {
        service_account_principal(number): name for number, name in call.session.execute(accounts)
    }


def _sees_their_own_alone(call: Call, wanted: Filter) -> bool:
    """Every human may know of any service account, and not of every other human."""
    if call.caller.sees_all:
        return False
    return any(getattr(wanted, column) == who for column, who in call.caller.parties.items())
