"""Rate limits: the generic cell rate algorithm, one number per party.

The number is the time at which an even flow at the allowed rate would have delivered the requests accepted so far; a
request is accepted while that time is at most one burst ahead. Source: ITU-T I.371, annex A. Counted per process: with
several replicas, each allows the full rate.
"""

from collections.abc import Hashable

_ROUNDING_S = 1e-6


class Rates:
    """Requests of many parties, each limited to the same rate.

    Args:
        per_s: sustained requests per second of one party.
        burst: number of requests that one party may make at once.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._interval_s = 1 / per_s
        self._ahead_s = (burst - 1) / per_s
        self._due: dict[Hashable, float] = {}
        self._next_pruning = 0.0

    def take(self, party: Hashable, now: float) -> float:
        """Count a party's request at a monotonic time; returns 0, or the seconds after which to retry.

        A refused request is not counted.
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
        """Forget parties whose allowance is full again: memory is bounded by the parties active within one burst."""
        self._due = {party: due for party, due in self._due.items() if due > now}
        self._next_pruning = now + max(self._ahead_s, 10.0)
