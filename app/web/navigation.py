"""What stands at the side, by role."""

from dataclasses import dataclass
from typing import Any

from flask import request, url_for

from app.web.visit import Visit

ALL = frozenset({"administrator", "auditor", "member"})
OVERSEERS = frozenset({"administrator", "auditor"})


@dataclass(frozen=True)
class Item:
    """``endpoint`` without its blueprint; ``section``: what the endpoints of its pages begin with."""

    label: str
    endpoint: str
    icon: str
    section: str
    roles: frozenset[str] = ALL


GROUPS: tuple[tuple[str, tuple[Item, ...]], ...] = (
    (
        "",
        (
            Item("Overview", "overview", "overview", "overview"),
            Item("Who may act for me", "delegations_mine", "delegation", "delegations_mine"),
        ),
    ),
    (
        "Trust",
        (
            Item("Signing keys", "keys", "key", "keys"),
            Item("Audiences", "audiences", "audience", "audiences", OVERSEERS),
            Item("Token inspector", "inspector", "inspect", "inspector"),
        ),
    ),
    (
        "Identity",
        (
            Item("Users", "users", "user", "users", OVERSEERS),
            Item("Service accounts", "service_accounts", "account", "service_accounts"),
            Item("Delegations", "delegations", "delegation", "delegations"),
        ),
    ),
    (
        "Work",
        (
            Item("Projects", "projects", "project", "projects"),
            Item("Runs", "runs", "run", "runs"),
        ),
    ),
    ("Ledger", (Item("Audit", "audit", "audit", "audit"),)),
    ("Mine", (Item("Sessions and tokens", "mine", "session", "mine"),)),
)


def navigation(visit: Visit) -> list[dict[str, Any]]:
    here = (request.endpoint or "").removeprefix("console.")
    found = []
    for label, items in GROUPS:
        shown = [_shown(item, here) for item in items if visit.role in item.roles]
        if shown:
            found.append({"label": label, "items": shown})
    return found


def _shown(item: Item, here: str) -> dict[str, Any]:
    current = here == item.section or here.startswith(f"{item.section}_")
    if item.section == "delegations" and here.startswith("delegations_mine"):
        current = False
    return {
        "label": item.label,
        "href": url_for(f"console.{item.endpoint}"),
        "icon": item.icon,
        "current": current,
    }
