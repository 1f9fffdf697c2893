"""The times when sites were last seen, kept in memory and written periodically, as losing them is harmless."""

import time


class LastSeen:
    """The sites that signed a request since the last `take`."""

    def __init__(self) -> None:
        self._seen: dict[bytes, float] = {}

    def saw(self, site: bytes) -> None:
        """Record that a site has just signed a request."""
        self._seen[site] = time.time()

    def take(self) -> dict[bytes, float]:
        """Return the recorded times and clear them."""
        seen, self._seen = self._seen, {}
        return seen
