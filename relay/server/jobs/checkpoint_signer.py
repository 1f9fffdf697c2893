"""Signs the audit log: a checkpoint every minute, or earlier after many entries."""

import time

from relay.server.core.checkpoint import Checkpoint
from relay.server.core.metrics import RelayMetrics
from relay.server.store import audit, checkpoints
from relay.server.store.database import Database
from relay.service import logs
from secagg.identity import Identity

LOOK_S = 5.0
EVERY_S = 60.0
EVERY_ENTRIES = 100

_log = logs.logger(__name__)


class CheckpointSigner:
    """Signs a checkpoint when one is due; called every `LOOK_S` seconds.

    Args:
        identity: the relay's signing key.
        database: database with the log.
        metrics: destination of the number of entries and the time of the last checkpoint.
    """

    def __init__(self, identity: Identity, database: Database, metrics: RelayMetrics) -> None:
        self._identity = identity
        self._database = database
        self._metrics = metrics
        self._signed_at = 0.0
        self._signed = -1

    async def __call__(self) -> None:
        entries, head = await self._database.read(audit.head)
        self._metrics.audit_entries.set(entries)
        now = time.time()
        if entries < self._signed + EVERY_ENTRIES and abs(now - self._signed_at) < EVERY_S:
            return
        checkpoint = Checkpoint.sign(self._identity, entries=entries, head=head, at_ms=int(now * 1000))
        await self._database.write(lambda db: checkpoints.put(db, checkpoint))
        self._signed, self._signed_at = entries, now
        self._metrics.audit_checkpoint.set(now)
        # a chain cannot reveal that its tail was cut off; this line, kept elsewhere, can
        _log.info("audit checkpoint", **checkpoint.document())
