"""What verifying the ledger has found."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

_MOST_FINDINGS = 1000

Kind = Literal["edited", "deleted", "moved", "inserted", "unproven", "rewritten", "checkpoint", "anchor"]


@dataclass(frozen=True)
class Finding:
    """``writer`` and ``seq`` name the row; ``None`` where it is not about one."""

    kind: Kind
    text: str
    writer: int | None = None
    seq: int | None = None


@dataclass
class Report:
    """``since``: retention has taken what was before it. ``unsigned``: rows that await their checkpoint, the
    oldest since ``waiting_since``.
    """

    rows: int = 0
    checkpoints: int = 0
    unsigned: int = 0
    waiting_since: datetime | None = None
    since: str | None = None
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    """Findings beyond those that are told one by one."""

    @property
    def intact(self) -> bool:
        return not self.findings

    def add(self, found: Finding) -> None:
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(found)
        else:
            self.more += 1

    def wait(self, since: datetime | None) -> None:
        self.waiting_since = min(filter(None, (self.waiting_since, since)), default=None)
