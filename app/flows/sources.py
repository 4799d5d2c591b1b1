"""Git sources of projects, and what the issuer swears to of a version that it read from one itself."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy.orm import Session

from app.errors import InvalidInput, NotFound, Refusal
from app.flows.models import ConfigurationVersion, ProjectSource
from app.flows.target import Target
from app.identity.models import Project
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record

BRANCH = r"[A-Za-z0-9_][A-Za-z0-9._/+#@-]*"
LONGEST_BRANCH = 200
MOST_PROTECTED = 100
_EXAMPLE = "https://git.example.com/acme/webapp.git"
_SSH = re.compile(r"(git\+)?ssh:|[^/:@]+@[^/:@]+:(?![0-9]+/)", re.ASCII)
"""In either form of git-clone(1)."""
_HEADS = "refs/heads/"
_NEVER = re.compile(r"\.\.|//|/\.|\./|@\{|\.lock(/|$)|[./]$")


class SourceUnavailable(Refusal):
    """The repository could not be read; the text says where it is, and why. ``for_operator`` has in it what
    the ``git`` program said, which may be anything that the other side sent.
    """

    def __init__(self, text: str, for_operator: str | None = None) -> None:
        super().__init__(text)
        self.for_operator = for_operator or text


@dataclass(frozen=True)
class Wanted:
    """A source that somebody asks for; ``protected``: branches whose ``ref_protected`` is true."""

    url: str
    branch: str
    protected: tuple[str, ...]

    @classmethod
    def checked(cls, url: str, branch: str, protected: Iterable[str] | None) -> Self:
        """Without ``protected`` the branch is; ``InvalidInput`` never repeats the URL."""
        url = _repository(url)
        listed = tuple(dict.fromkeys((branch,) if protected is None else protected))
        if len(listed) > MOST_PROTECTED:
            raise InvalidInput(f"protected: at most {MOST_PROTECTED} branches")
        for key, name in (("branch", branch), *(("protected", each) for each in listed)):
            _check_branch(key, name)
        return cls(url, branch, listed)


def _repository(url: str) -> str:
    """In one form."""
    if _SSH.match(url):
        raise InvalidInput(
            f"git: must be an https URL, and this is one of SSH: write its https URL, such as {_EXAMPLE}"
        )
    if "@" in url:
        raise InvalidInput(
            "git: must not contain a user name or password: "
            "only repositories that everybody may read are read, and then without any"
        )
    try:
        target = Target.parse(url, like=_EXAMPLE)
    except InvalidInput as fault:
        raise InvalidInput(f"git: {fault}") from None
    if not target.path:
        raise InvalidInput("git: must end with the path of a repository, such as /acme/webapp.git")
    return target.url


def _check_branch(key: str, name: str) -> None:
    """git-check-ref-format(1), in ASCII and without what a claim or a subject would have to escape."""
    if len(name) > LONGEST_BRANCH or not re.fullmatch(BRANCH, name) or _NEVER.search(name):
        raise InvalidInput(
            f"{key}: must be a branch such as main or release/2.x, without refs/heads/: "
            f"at most {LONGEST_BRANCH} letters, digits and . _ / + # @ -"
        )
    if name.startswith(_HEADS):
        raise InvalidInput(f"{key}: leave refs/heads/ out: write {name.removeprefix(_HEADS)}")


def source_of(session: Session, project: Project, *, held: bool = False) -> ProjectSource | None:
    """``held``: as it is now, until this transaction ends."""
    return session.get(ProjectSource, project.id, with_for_update=held or None, populate_existing=held)


def find_source(session: Session, project: Project) -> ProjectSource:
    if (source := source_of(session, project)) is None:
        raise NotFound(
            f"{project.path} has no Git source: countersign project source set {project.path} --git URL"
        )
    return source


def remove_source(session: Session, project: Project, *, by: Actor, now: datetime) -> None:
    """From now on the project has no configuration until one is set: what was read is not gone on with."""
    source = find_source(session, project)
    session.delete(source)
    detail = {"git": source.url, "branch": source.branch}
    record(session, by.did(AuditAction.SOURCE_REMOVE, now, project=project.path, detail=detail))


def is_protected(source: ProjectSource) -> bool:
    return source.branch in source.protected_refs


def ref_claims(version: ConfigurationVersion) -> dict[str, str]:
    """``ref ref_type ref_path ref_protected sha``, booleans as texts; none for what no Git source gave."""
    if version.commit_sha is None:
        return {}
    return {
        "ref": str(version.ref),
        "ref_type": str(version.ref_type),
        "ref_path": str(version.ref_path),
        "ref_protected": "true" if version.ref_protected else "false",
        "sha": version.commit_sha,
    }
