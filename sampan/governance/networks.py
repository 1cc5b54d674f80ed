"""Where a key may be used from: CIDRs compiled once to pairs of numbers, an address looked at in half a microsecond."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

_MAPPED = bytes(10) + b"\xff\xff"


class Networks:
    """A list of networks; of no address at all (an empty text) nobody knows that it lies within."""

    __slots__ = ("_four", "_six")

    def __init__(self, texts: Sequence[str]) -> None:
        """Raises `ValueError` for what is no CIDR."""
        four: list[tuple[int, int]] = []
        six: list[tuple[int, int]] = []
        for text in texts:
            network = _plain(ip_network(text))
            pair = (int(network.network_address), int(network.netmask))
            (four if network.version == 4 else six).append(pair)
        self._four, self._six = tuple(four), tuple(six)

    def hold(self, address: str) -> bool:
        """Whether an address lies within one of them; an IPv4 address in IPv6's clothes is the IPv4 address."""
        try:
            if ":" not in address:
                packed = socket.inet_pton(socket.AF_INET, address)
            else:
                packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
        except (OSError, ValueError):  # ValueError: a NUL byte
            return False
        if packed[:12] == _MAPPED:
            packed = packed[12:]
        number = int.from_bytes(packed, "big")
        return any(number & mask == network for network, mask in (self._four if len(packed) == 4 else self._six))


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """The IPv4 network that an IPv6 one stands for."""
    packed = network.network_address.packed
    if network.version == 6 and network.prefixlen >= 96 and packed[:12] == _MAPPED:
        return IPv4Network((packed[12:], network.prefixlen - 96))
    return network
