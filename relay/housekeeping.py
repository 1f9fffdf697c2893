"""What a relay does beside requests. Of several replicas one does it, by a lease; when that one is gone, the next."""

import time
from uuid import uuid4

from relay.call import Relay
from relay.service import logs
from relay.store import leases, nonces

EVERY_S = 60.0

_NAME = "housekeeping"
_TTL_S = 2.5 * EVERY_S  # a replica that misses two turns is gone

_log = logs.logger(__name__)


class Housekeeping:
    """The jobs of the replica that holds the lease."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._holder = uuid4().hex

    async def __call__(self) -> None:
        """Do what is due, if this is the replica that does it."""
        lease = await self._relay.database.write(
            lambda db: leases.take(db, _NAME, holder=self._holder, ttl_s=_TTL_S), appends=True
        )
        if lease is not None:
            await self._forget_nonces()

    async def stop(self) -> None:
        """Give the lease back, so that another replica need not wait for its end."""
        await self._relay.database.write(lambda db: leases.take(db, _NAME, holder=self._holder, ttl_s=0), appends=True)

    async def _forget_nonces(self) -> None:
        forgotten = await self._relay.database.write(lambda db: nonces.forget(db, now=time.time()), appends=True)
        _log.debug("nonces forgotten", number=forgotten)
