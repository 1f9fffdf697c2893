"""How often somebody may come: the generic cell rate algorithm, one number for each that is counted.

The number is the time at which an even flow at the allowed rate would have brought the requests that were taken; a
request is taken while that time is at most a burst ahead. Source: ITU-T I.371, annex A. Counted in this process: with
several replicas each allows the rate by itself.
"""

from collections.abc import Hashable

_ROUNDING_S = 1e-6


class Rates:
    """Requests of many parties, each limited to the same rate.

    Args:
        per_s: requests a second that one party may make in the long run.
        burst: requests that one party may make at once.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._interval_s = 1 / per_s
        self._ahead_s = (burst - 1) / per_s
        self._due: dict[Hashable, float] = {}
        self._next_pruning = 0.0

    def take(self, party: Hashable, now: float) -> float:
        """Count a request of a party at a monotonic time; returns 0, or the seconds after which to come again.

        A request that is not taken is not counted.
        """
        if now >= self._next_pruning:
            self._prune(now)
        due = max(self._due.get(party, now), now)
        wait_s = due - now - self._ahead_s
        if wait_s > _ROUNDING_S:
            return wait_s
        self._due[party] = due + self._interval_s
        return 0.0

    def _prune(self, now: float) -> None:
        """Forget who would be as good as new: memory is bounded by who came within a burst."""
        self._due = {party: due for party, due in self._due.items() if due > now}
        self._next_pruning = now + max(self._ahead_s, 10.0)
