"""Which addresses only this machine reaches. Does not know who listens there, nor what follows from it."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach an address; IPv6 may stand in brackets."""
    name = host.lower().removeprefix("[").removesuffix("]")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
