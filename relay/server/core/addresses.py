"""Where a request comes from, behind which proxies, and whether such an address may come at all.

`X-Forwarded-For` counts from trusted proxies alone, and is read from its right end: everything to the left of the first
address that no trusted proxy has is whatever somebody wrote there.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from relay.server.core.problem import BAD_ADDRESS, Problem

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SITE_PREFIX = 64
"""Whoever has one IPv6 address usually has the 2^64 beside it."""


class Addresses:
    """The operator's view of the network.

    Args:
        trusted_proxies: networks whose word for the addresses behind them counts.
        allowed: networks that may use the relay; empty for all.
    """

    def __init__(self, trusted_proxies: Iterable[Network], allowed: Iterable[Network]) -> None:
        self._trusted = tuple(trusted_proxies)
        self._allowed = tuple(allowed)

    def is_trusted(self, address: Address) -> bool:
        """Tell whether this is a proxy of the operator's."""
        return _within(address, self._trusted)

    def is_allowed(self, address: Address) -> bool:
        """Tell whether this address may use the relay."""
        return not self._allowed or _within(address, self._allowed)

    def origin(self, peer: Address, forwarded: Iterable[str]) -> Address:
        """Return whose request this is.

        Args:
            peer: the other end of the connection.
            forwarded: the `X-Forwarded-For` headers in their order.

        Raises:
            Problem: `bad-address`, where a trusted proxy passed on what is no list of addresses.
        """
        hops = [hop.strip() for header in forwarded for hop in header.split(",")]
        address = peer
        while hops and self.is_trusted(address):
            try:
                address = plain(hops.pop())
            except ValueError:
                raise Problem(BAD_ADDRESS, "X-Forwarded-For is no list of addresses") from None
        return address


def plain(text: str) -> Address:
    """Read an address, an IPv4 one in IPv6 clothes as the former; raises ValueError."""
    address = ip_address(text.partition("%")[0])  # a zone is local to one machine
    return getattr(address, "ipv4_mapped", None) or address


def household(address: Address) -> Address | Network:
    """Return what is limited together: an IPv4 address, or the /64 of an IPv6 one."""
    return address if address.version == 4 else ip_network((address, _SITE_PREFIX), strict=False)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
