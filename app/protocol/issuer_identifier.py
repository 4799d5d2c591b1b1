"""The issuer identifier, as every verifier takes it: byte for byte (Discovery §3, RFC 8414 §2)."""

import ipaddress
import re
from urllib.parse import urlsplit

_LONGEST = 255


def is_loopback(host: str) -> bool:
    """Whether a URL's host can only be this machine (RFC 6761 §6.3, RFC 8252 §7.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_issuer(text: str) -> str:
    """The identifier itself; ``ValueError`` names every rule it breaks."""
    parts = urlsplit(text)
    host = parts.hostname or ""
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    rules = {
        "is an https URL (http only on loopback)": secure,
        "has a host in lower case": bool(host) and parts.netloc == parts.netloc.lower(),
        "has no user, query or fragment": not ({"@", "?", "#"} & set(text)),
        "has no trailing slash": not text.endswith("/"),
        "prints no default port": parts.port != {"https": 443, "http": 80}.get(parts.scheme),
        "is written in a URL's ASCII characters": bool(re.fullmatch(r"[A-Za-z0-9\-._~:/\[\]%]+", text)),
        f"is at most {_LONGEST} characters long": len(text) <= _LONGEST,
    }
    if broken := [rule for rule, holds in rules.items() if not holds]:
        raise ValueError("; ".join(broken))
    return text
