"""One module a screen; each hangs its pages on the console's blueprint."""

from importlib import import_module

_SCREENS = (
    "signing_in",
    "overview",
    "keys",
    "audiences",
    "inspector",
    "users",
    "service_accounts",
    "delegations",
    "projects",
    "project_members",
    "project_configuration",
    "project_settings",
    "flows",
    "runs",
    "run_logs",
    "audit",
    "mine",
)


def load() -> None:
    for screen in _SCREENS:
        import_module(f"app.web.pages.{screen}")
