"""What principals are called, as far as the visitor may know them."""

from collections.abc import Iterable

from app.operations.audit_events import list_audit_events
from app.operations.members import list_project_members
from app.protocol.principals import user_principal
from app.web.console import whole
from app.web.visit import REFUSALS, this_visit


def names_in(path: str, wanted: Iterable[str]) -> dict[str, str]:
    """By principal: the visitor, the members of the project, and whoever else the ledger names to them."""
    visit = this_visit()
    known = {user_principal(visit.holder.user_id): visit.login}
    unknown = set(wanted) - known.keys()
    if unknown:
        known |= _members(path)
    if visit.role != "member":
        for actor in sorted(each for each in unknown - known.keys() if each.startswith("user:")):
            known |= visit.ask(list_audit_events, query={"actor": actor, "limit": "1"})["names"]
    return known


def _members(path: str) -> dict[str, str]:
    try:
        found = whole(list_project_members, path=path)
    except REFUSALS:
        return {}
    return {each["principal"]: each["name"] for each in found}
