"""The epoch that this process serves.

Spec: operations §3. A restored backup begins a new epoch while no relay runs, so that a process reads it once, at its
start. Clients find it in every answer.
"""

from uuid import UUID

from relay.server.store import epochs
from relay.server.store.database import Row


class Epoch:
    """Unknown until `begin`, which comes before the relay listens."""

    def __init__(self) -> None:
        self._row: Row | None = None

    def begin(self, row: Row) -> None:
        """Take a row of the epoch table."""
        self._row = row

    @property
    def id(self) -> UUID:
        assert self._row is not None
        found: UUID = self._row.id
        return found

    @property
    def since(self) -> float:
        """When it began, in seconds since 1970."""
        assert self._row is not None
        return float(self._row.since)

    @property
    def floor(self) -> float:
        """No request that was signed before this time counts: an earlier life may have answered it."""
        assert self._row is not None
        return 0.0 if self._row.cause == epochs.FIRST else self.since
