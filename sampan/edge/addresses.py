"""Who asks: the address at the other end of a connection, or the one that a trusted proxy names."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

HOPS = 32
"""Proxies in a row that are believed; a list in a header may be as long as its sender likes."""


def plain(address: str) -> str:
    """An address in its one spelling, an IPv4 address that came in by IPv6 as what it is; empty for what is none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found)


def place(address: str) -> str:
    """What is counted as one: an IPv4 address, or the /64 that a site is given of IPv6 (RFC 6177)."""
    if ":" not in address:
        return address
    return f"{ipaddress.IPv6Address(ipaddress.IPv6Address(address).packed[:8] + bytes(8))}/64"


def is_own(address: str) -> bool:
    """Whether it is this machine itself, or no network address at all."""
    return address.startswith("127.") or address in ("", "::1")


class Proxies:
    """Those whose word on who asks is taken. The networks are CIDR, as the configuration has checked them."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)

    def trusts(self, address: str) -> bool:
        """`address` is plain, or empty for a connection that has none."""
        if not self._networks or not address:
            return False
        found = ipaddress.ip_address(address)
        return any(found in network for network in self._networks)

    def asker(self, address: str, forwarded: str) -> str:
        """Who asks through the proxy at `address`, by its `X-Forwarded-For`: the last there that is no proxy of ours.

        Each proxy adds at the end whom it was asked by, so what stands before the first stranger is that one's own say.
        """
        for said in reversed(forwarded.split(",")[-HOPS:]):
            hop = _hop(said.strip())
            if not hop:
                break
            address = hop
            if not self.trusts(hop):
                break
        return address


def _hop(said: str) -> str:
    """An address as proxies write it, some with a port behind it; empty for what is none."""
    if said.startswith("["):
        said = said[1:].partition("]")[0]
    elif said.count(":") == 1:
        said = said.partition(":")[0]
    return plain(said)
