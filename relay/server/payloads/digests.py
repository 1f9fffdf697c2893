"""SHA-256 of payloads as they arrive, so that the last piece need not wait for the whole payload to be read back.

This is only a cache: it lacks pieces written by another replica, or by this one before a restart; such a payload is
read back.
"""

from collections import OrderedDict
from hashlib import sha256
from typing import Any
from uuid import UUID

_MOST = 1024


class RunningDigests:
    """The digests of payloads that arrived piece by piece in this process, at most the latest thousand."""

    def __init__(self) -> None:
        self._running: OrderedDict[UUID, tuple[int, Any]] = OrderedDict()

    def after(self, blob: UUID, offset: int, data: bytes) -> Any:
        """Return a payload's running SHA-256 up to the end of a piece; None unless all bytes before it were seen here.

        Nothing is stored yet: the piece may turn out not to count and be replaced by another.
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
        """Store the result of `after`, once the piece that ends at `end` counts; None forgets the payload."""
        self._running.pop(blob, None)
        if running is not None:
            self._running[blob] = (end, running)
        if len(self._running) > _MOST:
            self._running.popitem(last=False)
