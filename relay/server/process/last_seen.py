"""When each site was last seen: kept in memory and written now and then, as it is an observation and no promise."""

import time


class LastSeen:
    """The sites that signed a request since the last `take`."""

    def __init__(self) -> None:
        self._seen: dict[bytes, float] = {}

    def saw(self, site: bytes) -> None:
        """Note that a site signed a request now."""
        self._seen[site] = time.time()

    def take(self) -> dict[bytes, float]:
        """Return what was noted, and start anew."""
        seen, self._seen = self._seen, {}
        return seen
