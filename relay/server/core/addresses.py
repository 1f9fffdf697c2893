"""The address that a request comes from, behind any proxies, and whether it may use the relay.

`X-Forwarded-For` counts only from trusted proxies and is read from the right: everything left of the first address that
is not a trusted proxy may be forged.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from relay.server.core.problem import BAD_ADDRESS, Problem

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SITE_PREFIX = 64
"""The holder of one IPv6 address usually controls its whole /64."""


class Addresses:
    """The operator's network policy.

    Args:
        trusted_proxies: networks trusted to name the addresses behind them.
        allowed: networks that may use the relay; empty for all.
    """

    def __init__(self, trusted_proxies: Iterable[Network], allowed: Iterable[Network]) -> None:
        self._trusted = tuple(trusted_proxies)
        self._allowed = tuple(allowed)

    def is_trusted(self, address: Address) -> bool:
        """Return whether this is one of the operator's proxies."""
        return _within(address, self._trusted)

    def is_allowed(self, address: Address) -> bool:
        """Return whether this address may use the relay."""
        return not self._allowed or _within(address, self._allowed)

    def origin(self, peer: Address, forwarded: Iterable[str]) -> Address:
        """Return the address that a request originates from.

        Args:
            peer: address at the other end of the connection.
            forwarded: `X-Forwarded-For` headers, in order.

        Raises:
            Problem: `bad-address` if a trusted proxy passed on something other than a list of addresses.
        """
        hops = [hop.strip() for header in forwarded for hop in header.split(",")]
        address = peer
        while hops and self.is_trusted(address):
            try:
                address = plain(hops.pop())
            except ValueError:
                raise Problem(BAD_ADDRESS, "X-Forwarded-For is not a list of addresses") from None
        return address


def plain(text: str) -> Address:
    """Parse an address, an IPv4-mapped IPv6 one as IPv4; raises ValueError."""
    address = ip_address(text.partition("%")[0])  # a zone is local to a machine
    return getattr(address, "ipv4_mapped", None) or address


def household(address: Address) -> Address | Network:
    """Return the unit to rate-limit: an IPv4 address, or the /64 of an IPv6 address."""
    return address if address.version == 4 else ip_network((address, _SITE_PREFIX), strict=False)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
