"""Which Host headers the server answers.

A web page of anybody can lead its own name to this machine after it was loaded (DNS rebinding); the browser then takes
the dashboard for a part of that page. Such a request still carries that name in its Host header. An IP address in a
Host header cannot be led elsewhere, so where the server is open to other machines, addresses are answered.
"""

import os
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from streamlit import config

VARIABLE = "VIT_DASHBOARD_ALLOWED_HOSTS"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(
    r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?))(?::(?P<port>\d{1,5}))?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class AllowedHosts:
    """Hosts as listed_hosts() returns them that are answered. any_address: every IP address is, too."""

    hosts: tuple[str, ...]
    any_address: bool = False

    def allow(self, host: str) -> bool:
        """Whether a Host header's value is answered; its port does not matter, since proxies change it."""
        name = hostname(host)
        if name is None:
            return False
        if (address := _address(name)) is not None:
            return self.any_address or "*" in self.hosts or address in map(_address, self.hosts)
        wildcards = tuple(host.removeprefix("*") for host in self.hosts if host.startswith("*"))
        return name in self.hosts or name.endswith(wildcards)


def hostname(host: str) -> str | None:
    """The name or address in a Host header, in lower case without port, brackets and final dot; None if it is none."""
    match = _HOST.fullmatch(host)
    if match is None or int(match["port"] or 0) > 65535:
        return None
    if match["v6"]:
        return match["v6"].lower() if _address(match["v6"]) else None
    return match["name"].lower().removesuffix(".")


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def listen_address() -> str:
    """Where the server listens, as Streamlit's option says: "" for all interfaces."""
    return config.get_option("server.address") or ""


def is_open() -> bool:
    """Whether the server listens for other machines."""
    address = _address(listen_address())
    return not (address.is_loopback if address else listen_address() == "localhost")


def listed_hosts() -> tuple[str, ...]:
    """What was listed by hand, in the environment variable and in Streamlit's own option; ValueError for no host."""
    listed = (*re.split(r"[\s,]+", os.environ.get(VARIABLE, "")), *config.get_option("server.allowedHosts"))
    return tuple(dict.fromkeys(_parse_listed(host.strip()) for host in listed if host.strip()))


def _parse_listed(host: str) -> str:
    """A host as hostname() returns it, or "*.example.org", or "*"; an IPv6 address may stand without brackets."""
    if host == "*" or _address(host):
        return host.lower()
    wildcard = "*." if host.startswith("*.") else ""
    name = hostname(host.removeprefix(wildcard))
    if name is None:
        known = "host names such as 'vit.example.org', '*.example.org' or '192.168.1.5', without 'https://'"
        raise ValueError(f"{VARIABLE} and server.allowedHosts must list {known}; got {host!r}.")
    return wildcard + name


def allowed_hosts() -> AllowedHosts:
    """Loopback and what is listed; where other machines are served also HOST, addresses, and this machine's names."""
    own = own_names() if is_open() else ()
    return AllowedHosts((*LOOPBACK, listen_address().lower(), *own, *listed_hosts()), any_address=is_open())


def own_names() -> tuple[str, ...]:
    """This machine's host name as it knows it, short, and in the local network; nothing is looked up."""
    name = socket.gethostname().lower().removesuffix(".")
    short = name.partition(".")[0]
    return (name, short, f"{short}.local") if hostname(name) else ()
