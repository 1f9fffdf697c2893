"""What a signed request shows of its site, kept in memory and written periodically, as losing it is harmless."""

import re
import time

from relay.server.store.sites import LastRequest

_RELEASE = re.compile(r"secagg/(\d+\.\d+[0-9A-Za-z.+-]{0,32})")


class LastSeen:
    """The sites that signed a request since the last `take`."""

    def __init__(self) -> None:
        self._seen: dict[bytes, LastRequest] = {}

    def saw(self, site: bytes, *, user_agent: str, created: float) -> None:
        """Record that a site has just signed a request."""
        found, now = _RELEASE.match(user_agent), time.time()
        self._seen[site] = LastRequest(now, found[1] if found else None, created - now)

    def take(self) -> dict[bytes, LastRequest]:
        """Return the recorded sightings and clear them."""
        seen, self._seen = self._seen, {}
        return seen
