"""SHA-256 of payloads while they come, so that the last piece need not wait until the whole payload was read back.

This is a memory and no promise: what another replica wrote, or this one before it was restarted, is not in it, and such
a payload is read back.
"""

from collections import OrderedDict
from hashlib import sha256
from typing import Any
from uuid import UUID

_MOST = 1024


class RunningDigests:
    """The digests of the payloads that came piece after piece to this process, the latest thousand."""

    def __init__(self) -> None:
        self._running: OrderedDict[UUID, tuple[int, Any]] = OrderedDict()

    def add(self, blob: UUID, offset: int, data: bytes) -> None:
        """Take in a piece. One that does not go on where the last one ended ends this payload's digest."""
        position, running = self._running.pop(blob, (0, None))
        if offset == 0:
            running = sha256()
        elif running is None or position != offset:
            return
        running.update(data)
        self._running[blob] = (offset + len(data), running)
        if len(self._running) > _MOST:
            self._running.popitem(last=False)

    def take(self, blob: UUID, size: int) -> bytes | None:
        """Return the digest of a whole payload and forget it; None where not all of it came by."""
        position, running = self._running.pop(blob, (0, None))
        return running.digest() if running is not None and position == size else None
