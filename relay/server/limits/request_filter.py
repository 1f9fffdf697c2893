"""Checks of a request's address and rate, before any of it is parsed."""

import math
import time

from aiohttp import web

from relay.server.core.addresses import Address, Addresses, household, plain
from relay.server.core.config import RelayConfig
from relay.server.core.problem import BAD_ADDRESS, RATE_LIMITED, Problem
from relay.server.limits.rates import Rates

ORIGIN = web.RequestKey("origin", str)
"""The request's origin, as reported by trusted proxies."""

_BURST_S = 10
"""A burst is as many requests as the rate allows in this time."""


class RequestFilter:
    """The relay's outermost rules.

    Args:
        config: settings with the operator's networks and rates.
    """

    def __init__(self, config: RelayConfig) -> None:
        self.addresses = Addresses(config.trusted_proxies, config.allow)
        self._by_address = Rates(config.rate_per_address, config.rate_per_address * _BURST_S)
        self._by_site = Rates(config.rate_per_site, config.rate_per_site * _BURST_S)

    def admit(self, request: web.Request) -> None:
        """Admit a request by its address, before verifying its signature costs anything.

        Raises:
            Problem: `bad-address` for a forbidden address, `rate-limited` for one that sends too many requests.
        """
        peer = _peer(request)
        if peer is None:
            return
        origin = self.addresses.origin(peer, request.headers.getall("X-Forwarded-For", ()))
        request[ORIGIN] = str(origin)
        if self.addresses.is_trusted(origin):  # the machine itself, or a proxy's own check
            return
        if not self.addresses.is_allowed(origin):
            raise Problem(
                BAD_ADDRESS, "requests from this address are not accepted; ask the relay's operator to allow it"
            )
        _take(self._by_address, household(origin), "this address")

    def admit_site(self, key: bytes) -> None:
        """Admit a site whose signature is valid; raises `rate-limited`."""
        _take(self._by_site, key, "this site")


def _peer(request: web.Request) -> Address | None:
    """Return the peer's address, None for a Unix socket."""
    found = request.transport.get_extra_info("peername") if request.transport else None
    return plain(found[0]) if isinstance(found, tuple) else None


def _take(rates: Rates, party: object, whose: str) -> None:
    wait_s = rates.take(party, time.monotonic())
    if wait_s:
        raise Problem(RATE_LIMITED, f"{whose} exceeds its request rate", retry_after_s=math.ceil(wait_s))
