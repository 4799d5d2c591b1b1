"""Where in Vault a secret lies."""

from dataclasses import dataclass
from typing import Literal

from app.errors import InvalidInput

Engine = Literal["kv-v1", "kv-v2", "generic"]

DEFAULT_MOUNT = "kv-v2"
MAX_PATH = 512

_PART = r"[^/?#%\\$]+"
PATH_PATTERN = f"^{_PART}(/{_PART})*$"
FIELD_PATTERN = f"^{_PART}$"
_PART_BEFORE_AT = r"[^/@?#%\\$]+"
SHORT_FORM_PATTERN = f"^{_PART_BEFORE_AT}(/{_PART_BEFORE_AT})+(@{_PART_BEFORE_AT}(/{_PART_BEFORE_AT})*)?$"
"""For editors; ``check_path`` and ``check_short_form`` decide."""

_SHORT_FORM = "write `path/field` or `path/field@mount`"
_NEVER_IN_A_PATH = frozenset("?#%\\$")
"""What a URL would read as something else, and ``$``, which looks like a variable and is never expanded."""


@dataclass(frozen=True, slots=True)
class VaultReference:
    """One field of one secret; ``mount`` and ``path`` have passed ``check_path``."""

    engine: Engine
    mount: str
    path: str
    field: str

    def __post_init__(self) -> None:
        if reason := check_path(self.mount) or check_path(self.path):
            raise InvalidInput(f"the mount or path of a secret: {reason}")


def from_short_form(text: str) -> VaultReference:
    """``path/field@mount``, a KV version 2 engine; the text has passed ``check_short_form``."""
    place, _, mount = text.partition("@")
    path, _, field = place.rpartition("/")
    return VaultReference("kv-v2", mount or DEFAULT_MOUNT, path, field)


def check_short_form(text: str) -> str | None:
    """Why ``text`` names no field of a secret; ``None`` when it does."""
    place, at, mount = text.partition("@")
    if "@" in mount:
        return "more than one `@`: use the long form with `engine`, `path` and `field`"
    if at and not mount:
        return f"no mount after the `@`: {_SHORT_FORM}"
    if "/" not in place:
        return f"a path without a field: {_SHORT_FORM}"
    return check_path(place) or (check_path(mount) if at else None)


def check_path(text: str) -> str | None:
    """Why ``text`` is no path below Vault's API; ``None`` when it is one.

    Dot segments would be resolved on the way, and lead elsewhere (RFC 3986 §5.2.4).
    """
    if len(text) > MAX_PATH:
        return f"longer than {MAX_PATH} characters: shorten it"
    if any(part in {"", ".", ".."} for part in text.split("/")):
        return "has an empty, `.` or `..` part: write the path out, without slashes at its ends"
    if text != text.strip() or not text.isprintable() or not _NEVER_IN_A_PATH.isdisjoint(text):
        return r"has a control character, an outer space, or one of `? # % \ $`: nothing is expanded in it"
    return None


def check_field(text: str) -> str | None:
    """Why ``text`` is no name of a field; ``None`` when it is one."""
    return "a field is one name, without a slash" if "/" in text else check_path(text)
