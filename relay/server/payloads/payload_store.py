"""Storage for payload bytes: a folder or an object store, written piece by piece in constant memory.

The database records how many bytes of a payload count. A piece is durable before the database counts it, so an
acknowledged byte is never lost; stored but uncounted bytes are left over from a crash, and get overwritten or removed.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

READ_BYTES = 256 << 10


class BlobBusyError(Exception):
    """Another request is writing this payload right now."""


class StorageError(OSError):
    """The store failed; none of this piece is known to be durable."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a payload stored as a separate object: its offset, size and SHA-256."""

    offset: int
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored file or object: its name in the store, its payload, and when it was written (seconds since 1970)."""

    name: str
    blob: UUID
    modified: float


class Writer(Protocol):
    """The current writer of a payload."""

    async def write(self, offset: int, data: bytes) -> Piece | None:
        """Write a piece at its offset; durable when this returns.

        Returns:
            What the database must record to find the piece again; None if the offset is enough.

        Raises:
            OSError: the piece could not be written; nothing may be acknowledged.
        """


class Blobs(Protocol):
    """The store. `pieces` are those recorded in the database for a payload, ascending; empty if it is one file."""

    @property
    def failure(self) -> str | None:
        """The reason why this process must not acknowledge any more payloads, in words for the operator."""

    def writing(self, blob: UUID) -> AbstractAsyncContextManager[Writer]:
        """Become the writer of a payload; raises BlobBusyError if another process is writing it."""

    async def digest(self, blob: UUID, pieces: Sequence[Piece]) -> bytes:
        """Return the SHA-256 of a whole payload, read back."""

    def read(self, blob: UUID, pieces: Sequence[Piece], start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`; raises OSError if the store lacks them."""

    async def discard(self, blob: UUID, pieces: Sequence[Piece]) -> None:
        """Remove a payload if it exists."""

    def stored(self) -> AsyncIterator[Stored]:
        """Yield everything in the store."""

    async def remove(self, name: str) -> None:
        """Remove one file or object."""

    def free_bytes(self) -> int | None:
        """Return the free space; None if unknown."""


def object_name(blob: UUID, piece: Piece) -> str:
    """Return the name of a piece's object, derived from its content so that two writers cannot collide."""
    return f"{blob.hex}/{piece.offset:016x}-{piece.digest.hex()}"
