"""Which `Host` headers the studio answers to.

A page from elsewhere can have its own name resolve to this machine (DNS rebinding) and would then
be, for the browser, of the same origin as the studio. The `Host` header still carries its name, so
only names that are this studio's are answered. An address in digits cannot be rebound: whoever
sends it connected to it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

LOOPBACK = "localhost"
ANY = frozenset(("", "0.0.0.0", "::"))
"""Hosts that stand for all of this machine's addresses."""


def name_in(header: str | None) -> str | None:
    """Return the host name or address in a `Host` header, in lower case; None if there is none.

    >>> name_in("Studio.Example.org:8501"), name_in("[::1]:8501"), name_in("user@host")
    ('studio.example.org', '::1', None)
    """
    if not header:
        return None
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    if "@" in header or parts.path or parts.query or parts.fragment or not parts.hostname:
        return None
    return parts.hostname.rstrip(".") or None


def is_address(name: str) -> bool:
    """Tell whether a name is an IP address, in version 4 or 6."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on `host`."""
    name = host.strip().strip("[]").lower().rstrip(".")
    return name == LOOPBACK or (is_address(name) and ipaddress.ip_address(name).is_loopback)


def is_answered(header: str | None, names: Iterable[str]) -> bool:
    """Tell whether a request with this `Host` header is meant for the studio called `names`."""
    name = name_in(header)
    if name is None:
        return False
    return is_address(name) or name == LOOPBACK or name in names


def own_names() -> frozenset[str]:
    """Return the names that this machine goes by, without asking a name server."""
    name = socket.gethostname().lower().rstrip(".")
    return frozenset(filter(None, (name, f"{name}.local")))


def own_address() -> str:
    """Return the address under which others in the network reach this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; picks the interface that would
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
