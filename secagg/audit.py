"""Hash chains: append-only logs in which a deleted, edited or moved entry is detected.

Spec: 01-wire §4. The relay chains its audit log, a participant its ledger; each stores its own entries.
"""

from collections.abc import Iterable

from secagg.codec import tagged_hash
from secagg.errors import SecaggError

GENESIS = bytes(32)


class BrokenChainError(SecaggError):
    """An entry was changed, removed, added or moved.

    Attributes:
        position: 0-based number of the first entry that does not match.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        super().__init__(
            f"the chain breaks at entry {position}: that entry or an earlier one was changed, removed or moved"
        )


def link(previous: bytes, entry: bytes) -> bytes:
    """Return the head of the chain after `entry`, given the head before it."""
    return tagged_hash("chain", previous, entry)


def verify_chain(entries: Iterable[tuple[bytes, bytes]], head: bytes | None = None) -> bytes:
    """Check (entry, head after it) pairs from the start and return the last head.

    Args:
        entries: entries in order, each with the head stored for it.
        head: head kept elsewhere; without it, a truncated tail goes unnoticed.

    Raises:
        BrokenChainError: at the first entry whose head does not follow, or at the end if `head` differs.
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
