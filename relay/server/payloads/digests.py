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

    def after(self, blob: UUID, offset: int, data: bytes) -> Any:
        """Return the running SHA-256 of a payload up to the end of a piece; None where not all before it came by.

        Nothing is remembered yet: the piece may turn out not to count, and another take its place.
        """
        position, running = self._running.get(blob, (0, None))
        if offset == 0:
            running = sha256()
        elif running is None or position != offset:
            return None
        else:
            running = running.copy()
        running.update(data)
        return running

    def keep(self, blob: UUID, end: int, running: Any) -> None:
        """Remember what `after` returned, once the piece that ends at `end` counts; None forgets the payload."""
        self._running.pop(blob, None)
        if running is not None:
            self._running[blob] = (end, running)
        if len(self._running) > _MOST:
            self._running.popitem(last=False)
