"""The epoch that this process serves.

Spec: operations §3. Restoring a backup starts a new epoch while no relay runs, so a process reads the epoch once, at
its start. Clients find it in every response.
"""

from uuid import UUID

from relay.server.store import epochs
from relay.server.store.rows import EpochRow


class Epoch:
    """The relay's epoch; not set until `begin`, which runs before the relay listens."""

    def __init__(self) -> None:
        self._row: EpochRow | None = None

    def begin(self, row: EpochRow) -> None:
        """Load a row of the epoch table."""
        self._row = row

    @property
    def id(self) -> UUID:
        assert self._row is not None
        return self._row.id

    @property
    def since(self) -> float:
        """Start of the epoch, in seconds since 1970."""
        assert self._row is not None
        return self._row.since

    @property
    def floor(self) -> float:
        """Requests signed before this time are refused: an earlier epoch may have answered them."""
        assert self._row is not None
        return 0.0 if self._row.cause == epochs.FIRST else self.since
