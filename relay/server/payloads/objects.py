"""Payloads in an object store (S3 or similar): each piece is a separate object, as such stores cannot append.

The database records which objects make up a payload. An object's name is derived from its content: a piece resent after
a crash is the same object, and two replicas writing at the same offset cannot overwrite each other's piece.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from relay.server.payloads.payload_store import READ_BYTES, Piece, StorageError, Stored, object_name
from relay.service.crashpoints import crashpoint


class BlobObjects:
    """Payload bytes in a bucket. See `relay.server.payloads.payload_store.Blobs`.

    Args:
        url: URL such as s3://bucket/prefix. Credentials, region and endpoint come from the store's usual environment
            variables (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT ...).
    """

    failure: str | None = None  # the store is responsible for its own disks

    def __init__(self, url: str) -> None:
        self._store = from_url(
            url,
            # an http:// endpoint is deliberate; payloads are sealed and requests signed
            client_options={"timeout": "30s", "connect_timeout": "5s", "allow_http": True},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        )

    @asynccontextmanager
    async def writing(self, blob: UUID) -> AsyncIterator["ObjectWriter"]:
        """Write without a lock: the database decides which of two pieces at one offset counts."""
        yield ObjectWriter(self, blob)

    async def digest(self, blob: UUID, pieces: Sequence[Piece]) -> bytes:
        """Return the SHA-256 of all pieces together."""
        total = sha256()
        for piece in pieces:
            await asyncio.to_thread(total.update, await self._part(blob, piece, 0, piece.size))
        return total.digest()

    async def read(self, blob: UUID, pieces: Sequence[Piece], start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`, a few at a time, as slow readers leave them in memory."""
        for piece in pieces:
            first, last = max(start, piece.offset), min(stop, piece.offset + piece.size)
            for at in range(first, last, READ_BYTES):
                yield await self._part(blob, piece, at - piece.offset, min(at + READ_BYTES, last) - piece.offset)

    async def discard(self, blob: UUID, pieces: Sequence[Piece]) -> None:
        """Remove the objects of these pieces."""
        for piece in pieces:
            await self.remove(object_name(blob, piece))

    async def stored(self) -> AsyncIterator[Stored]:
        """Yield all objects."""
        try:
            async for found in obstore.list(self._store, chunk_size=1000):
                for one in found:
                    blob, _, _ = one["path"].rpartition("/")
                    if len(blob) == 32:  # ignore foreign objects
                        yield Stored(one["path"], UUID(blob), one["last_modified"].timestamp())
        except BaseError as error:
            raise _failed(error) from error

    async def remove(self, name: str) -> None:
        """Remove one object."""
        try:
            await obstore.delete_async(self._store, name)
        except NotFoundError:
            return
        except BaseError as error:
            raise _failed(error) from error

    def free_bytes(self) -> None:
        """Return None: a bucket's free space is unknown."""
        return

    async def put(self, name: str, data: bytes) -> None:
        """Store an object; durable when this returns."""
        try:
            await obstore.put_async(self._store, name, data, use_multipart=False)
        except BaseError as error:
            raise _failed(error) from error

    async def _part(self, blob: UUID, piece: Piece, start: int, stop: int) -> bytes:
        try:
            found = await obstore.get_range_async(self._store, object_name(blob, piece), start=start, end=stop)
        except BaseError as error:
            raise _failed(error) from error
        if len(found) != stop - start:
            raise StorageError(f"a piece of payload {blob} is shorter than the size recorded in the database")
        return bytes(found)


class ObjectWriter:
    """Writes the pieces of one payload. See `relay.server.payloads.payload_store.Writer`."""

    def __init__(self, objects: BlobObjects, blob: UUID) -> None:
        self._objects = objects
        self._blob = blob

    async def write(self, offset: int, data: bytes) -> Piece:
        """Store a piece as an object; durable when this returns."""
        digest = await asyncio.to_thread(lambda: sha256(data).digest())
        piece = Piece(offset, len(data), digest)
        crashpoint("relay.object-before-put")
        await self._objects.put(object_name(self._blob, piece), data)
        crashpoint("relay.object-after-put")
        return piece


def _failed(error: BaseError) -> StorageError:
    return StorageError(f"the object store failed: {type(error).__name__}")
