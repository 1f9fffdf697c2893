"""Hash chains: append-only logs in which a deleted, edited or moved entry shows.

Spec: 01-wire §4. The relay chains its audit log, a participant its ledger; both keep the entries themselves.
"""

from collections.abc import Iterable

from secagg.codec import tagged_hash
from secagg.errors import SecaggError

GENESIS = bytes(32)


class BrokenChainError(SecaggError):
    """An entry was changed, removed, added or moved.

    Attributes:
        position: 0-based number of the first entry that does not fit.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        super().__init__(f"the chain breaks at entry {position}: it or one before it was changed, removed or moved")


def link(previous: bytes, entry: bytes) -> bytes:
    """Return the head of the chain after `entry`, given the head before it."""
    return tagged_hash("chain", previous, entry)


def verify_chain(entries: Iterable[tuple[bytes, bytes]], head: bytes | None = None) -> bytes:
    """Check (entry, head after it) pairs from the first on and return the last head.

    Args:
        entries: in order, each with the head that was stored for it.
        head: the head that someone else remembers; without it a truncated tail cannot be seen.

    Raises:
        BrokenChainError: at the first entry whose head does not follow, or at the end where `head` is another.
    """
    current = GENESIS
    position = -1
    for position, (entry, stored) in enumerate(entries):
        current = link(current, entry)
        if current != stored:
            raise BrokenChainError(position)
    if head is not None and current != head:
        raise BrokenChainError(position + 1)
    return current
