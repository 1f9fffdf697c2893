"""Where the bytes of payloads are: a folder, or an object store; written piece by piece, with constant memory.

The database says how many bytes of a payload count. A piece is durable before the database counts it, so an
acknowledged byte is never lost; what is stored and not counted is left from a crash, and is written over or swept away.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

READ_BYTES = 256 << 10


class BlobBusyError(Exception):
    """Another request writes this payload at this moment."""


class StorageError(OSError):
    """The store failed; nothing of this piece is known to be durable."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a payload that is an object of its own: its place in bytes, its size and its SHA-256."""

    offset: int
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A file or an object of the store: its name there, its payload, and when it was written (seconds since 1970)."""

    name: str
    blob: UUID
    modified: float


class Writer(Protocol):
    """The one who writes a payload now."""

    async def write(self, offset: int, data: bytes) -> Piece | None:
        """Put a piece at its place; it is durable when this returns.

        Returns:
            What the database has to remember to find the piece again, None where the offset is enough.

        Raises:
            OSError: it could not be written; nothing may be acknowledged.
        """


class Blobs(Protocol):
    """The store. `pieces` are those that the database remembers of a payload, ascending; none where it is one file."""

    @property
    def failure(self) -> str | None:
        """Why this process must not acknowledge a payload any more, in words for the operator."""

    def writing(self, blob: UUID) -> AbstractAsyncContextManager[Writer]:
        """Become the one who writes a payload; raises BlobBusyError where another process does."""

    async def digest(self, blob: UUID, pieces: Sequence[Piece]) -> bytes:
        """Return the SHA-256 of a whole payload, read back."""

    def read(self, blob: UUID, pieces: Sequence[Piece], start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`; raises OSError where the store does not have them."""

    async def discard(self, blob: UUID, pieces: Sequence[Piece]) -> None:
        """Remove a payload, if it is there."""

    def stored(self) -> AsyncIterator[Stored]:
        """Yield all that is in the store."""

    async def remove(self, name: str) -> None:
        """Remove one file or object."""

    def free_bytes(self) -> int | None:
        """Return the free space, None where nobody knows it."""


def object_name(blob: UUID, piece: Piece) -> str:
    """Return the name of a piece's object: made from its content, so that two writers cannot mix."""
    return f"{blob.hex}/{piece.offset:016x}-{piece.digest.hex()}"
