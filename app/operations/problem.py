"""A refusal that HTTP has a status for beyond those that typed errors stand for."""

from collections.abc import Iterable, Mapping

KEYLESS = "The signing key cannot be had."
"""All that is told to a remote caller: the log has the operator's words, and the keystore's address."""
RETRY_AFTER = "2"
"""Seconds after which what is unavailable may be asked again."""


class Problem(Exception):  # noqa: N818 - an answer on purpose
    """An RFC 9457 answer whose ``detail`` is worded for the caller; ``errors``: its member of that name."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        errors: Iterable[Mapping[str, object]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.headers = tuple(headers)
        self.errors = tuple(errors)


def unprocessable(faults: Iterable[tuple[str, str]]) -> Problem:
    """Of keys and their remedies."""
    faults = list(faults)
    detail = "; ".join(f"{key}: {fix}" for key, fix in faults)
    errors = [{"key": key, "fix": fix} for key, fix in faults]
    return Problem(422, "Unprocessable Content", detail, errors=errors)
