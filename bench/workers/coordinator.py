"""A coordinator that takes one round's uploads through the protocol's own steps, and reports its memory use."""

import sqlite3
from itertools import islice
from pathlib import Path
from uuid import UUID

from bench.workers.epoch import Epoch
from bench.workers.pipe import serve
from bench.workers.work import left
from coordinator.journal.schema import TABLES
from coordinator.journal.tables import RunTables
from relay.party.migrations import migrate
from secagg.masks import Mask
from secagg.protocol.coordinator_round import AwaitTotal, AwaitUploads
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import Add, Ask, Learned, Publish
from secagg.protocol.table import receive, tell

MASKS = 20  # more would cost time, but no memory


class Round:
    """One round; the methods are the worker's jobs, in order."""

    def __init__(self) -> None:
        self.epoch: Epoch
        self.state: AwaitUploads
        self.total: RingVector

    def prepare(self, n: int, d: int) -> int:
        """Start from a finished epoch without its shares; return the resident bytes."""
        self.epoch = Epoch(n, d)
        self.state = self.epoch.prepared
        return _status("VmRSS")

    def keep_packages(self, path: str) -> None:
        """Store every site's packages as the driver does, in its journal on disk."""
        journal = sqlite3.connect(path, isolation_level=None)
        migrate(journal, TABLES)
        tables = RunTables(journal, UUID(int=1))
        for site in self.state.survivors:
            tables.keep(site, self.epoch.package(site))
            tables.keep(site, self.epoch.leaves(site))

    def open(self) -> str:
        """Open the round; return its context."""
        ask = Ask(b"memory", self.epoch.schema, self.epoch.prepared.manifest.expires)
        self.state = tell(self.state, ask, self.epoch.inputs()).state
        self.total = RingVector.zeros(self.epoch.schema)
        return self.state.current.context.hex()

    def take(self, frame: str, payload: str) -> None:
        """Check an upload whose payload is in a file, and add it."""
        data = Path(payload).read_bytes()
        step = receive(self.state, bytes.fromhex(frame), self.epoch.inputs(), data)
        for effect in step.effects:
            assert isinstance(effect, Add)
            self.total.add(effect.vector)
        self.state = step.state

    def finish(self) -> int:
        """Remove masks, publish the sum, and return the peak number of resident bytes."""
        masks = tuple(Mask(key=key, negate=negate) for key, negate in islice(left(self.epoch.n, 1), MASKS))
        state = AwaitTotal(
            idle=self.state.idle,
            current=self.state.current,
            survivors=tuple(self.state.uploads),
            statement=bytes(32),
            masks=masks,
        )
        self.total.mask(masks, remove=True)
        step = tell(state, Publish(self.total), self.epoch.inputs())
        (learned,) = (effect for effect in step.effects if isinstance(effect, Learned))
        assert len(learned.survivors) == self.epoch.n
        return _status("VmHWM")


def _status(field: str) -> int:
    """Return a field of the process's memory report, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


if __name__ == "__main__":
    one = Round()
    serve({job.__name__: job for job in (one.prepare, one.keep_packages, one.open, one.take, one.finish)})
