"""What is kept of whoever visits: the agent's name made printable, and of the address its network alone."""

from ipaddress import ip_address, ip_network

OTHER = "other"
_BITS = {4: 24, 6: 48}


def agent_of(text: str, longest: int) -> str:
    """``none`` when nothing printable is left."""
    return "".join(each for each in text if " " <= each <= "~")[:longest] or "none"


def network_of(address: str) -> str:
    """The address's /24, or its /48; ``other`` for what is no address."""
    try:
        known = ip_address(address)
    except ValueError:
        return OTHER
    mapped = getattr(known, "ipv4_mapped", None) or known
    return str(ip_network((mapped, _BITS[mapped.version]), strict=False))
