"""How much memory the bodies of requests take that are on their way or wait for their turn."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from relay.server.core.problem import RATE_LIMITED, Problem

SHARE = 8
"""One site has at most this part of all: whoever sends slowly holds its own bodies up, and nobody else's."""


class BodyBudget:
    """Counts the bytes that bodies were announced with, of each site and in all.

    Args:
        most: bytes in all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all = 0
        self._by_site: Counter[bytes] = Counter()

    @contextmanager
    def room(self, site: bytes, size: int) -> Iterator[None]:
        """Hold room for a body until its request is answered; raises `rate-limited` where there is none."""
        if self._by_site.get(site, 0) + size > self._most // SHARE or self._all + size > self._most:
            raise Problem(RATE_LIMITED, "as many bytes of bodies are on their way as this relay takes at a time")
        self._all += size
        self._by_site[site] += size
        try:
            yield
        finally:
            self._all -= size
            self._by_site[site] -= size
            if not self._by_site[site]:
                del self._by_site[site]
