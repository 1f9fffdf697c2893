"""Memory for request bodies that are in flight or waiting for their turn."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from relay.server.core.problem import RATE_LIMITED, Problem

SHARE = 8
"""One site may use at most one part in this many, so that a slow sender delays only its own bodies."""


class BodyBudget:
    """Counts the announced bytes of bodies, per site and in total.

    Args:
        most: maximum bytes in total.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all = 0
        self._by_site: Counter[bytes] = Counter()

    @contextmanager
    def room(self, site: bytes, size: int) -> Iterator[None]:
        """Reserve memory for a body until its request is answered; raises `rate-limited` if there is not enough."""
        if self._by_site.get(site, 0) + size > self._most // SHARE or self._all + size > self._most:
            raise Problem(RATE_LIMITED, "in-flight request bodies exceed this relay's limit; retry later")
        self._all += size
        self._by_site[site] += size
        try:
            yield
        finally:
            self._all -= size
            self._by_site[site] -= size
            if not self._by_site[site]:
                del self._by_site[site]
