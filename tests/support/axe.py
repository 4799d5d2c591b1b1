"""axe-core, run in a page of ours as it stands: the browser's driver evaluates it, and the policy holds."""

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.support.require import require
from tests.support.tools import ROOT, TOOLS, MissingError

SERIOUS = frozenset({"serious", "critical"})
_SETTLE = """() => {
    for (const each of document.getAnimations())
        if (each.effect.getComputedTiming().endTime !== Infinity) each.finish();
}"""
"""A colour on its way from one theme to the other is neither's."""
_PACKAGE = Path("node_modules/axe-core")
_WANTED = '"axe-core": "'


def findings(page: Page, *rules: str) -> list[str]:
    """What is serious or critical, by these rules or all: the rule, and where it is broken."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(require(source))
    page.evaluate(_SETTLE)
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    result: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {rule['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for rule in result["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


@cache
def source() -> str:
    """Of the version in package.json; raises `MissingError`."""
    folder = TOOLS / "console" / _PACKAGE
    if not _is_wanted(folder / "package.json"):
        raise MissingError("axe-core", "`make test` installs it, with Node and npm")
    return (folder / "axe.min.js").read_text()


def _is_wanted(package: Path) -> bool:
    wanted = (ROOT / "package.json").read_text().partition(_WANTED)[2].partition('"')[0]
    return package.exists() and f'"version": "{wanted}"' in package.read_text()
