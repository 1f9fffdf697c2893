"""Payloads: announced, uploaded in pieces, downloaded in ranges. Spec: 04-relay-api §6."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from aiohttp import web
from sqlalchemy import Connection

from relay.api.wire import Announcement, BytesReceived, ChunkQuery, PayloadUpload
from relay.server.core.problem import (
    BAD_DIGEST,
    BAD_RANGE,
    BAD_REQUEST,
    CONFLICT,
    FORBIDDEN,
    NOT_FOUND,
    QUOTA,
    STORAGE_FULL,
    UNAVAILABLE,
    Problem,
    cause_of,
)
from relay.server.http.access import Access
from relay.server.http.body import BYTES, Chunk, Json
from relay.server.http.context import AnyCall, Call, RouteAnswer
from relay.server.http.route import OCTETS, Route
from relay.server.payloads.payload_store import BlobBusyError, Piece
from relay.server.routes.messages import must_keep, recipients
from relay.server.store import payloads as store
from relay.server.store import runs
from relay.service import logs

_log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Staged:
    """A piece stored before the transaction: `end` is the end of the piece, `digest` that of the whole payload.

    `running` is the SHA-256 up to that point, if known.
    """

    end: int
    piece: Piece | None
    digest: bytes | None
    running: Any


def announce(call: Call[None, Announcement], db: Connection) -> RouteAnswer:
    """Record an announced payload, or return how much of it is stored."""
    wanted = call.body
    recipients(call, db, wanted.to)
    hash_ = store.announcement(call.run.id, call.signer, wanted.to, wanted.size, wanted.digest)
    found = store.announced(db, hash_)
    if found is not None:
        return RouteAnswer(200, PayloadUpload(id=str(found.id), received=found.received))
    must_keep(call)
    used = runs.charge(db, call.run.id, call.signer, payload_bytes=wanted.size)
    if used.payload_bytes > call.relay.config.max_payload_bytes:
        raise Problem(QUOTA, "this site has used up its quota of payload bytes in this run")
    _must_have_room(call, wanted.size)
    made = store.add(
        db,
        run=call.run.id,
        sender=call.signer,
        recipient=wanted.to,
        size=wanted.size,
        digest=wanted.digest,
        announcement_=hash_,
        now=call.now,
    )
    return RouteAnswer(201, PayloadUpload(id=str(made), received=0))


def _must_have_room(call: AnyCall, size: int) -> None:
    free = call.relay.blobs.free_bytes()
    if free is not None and free < size + call.relay.config.disk_reserve_bytes:
        raise Problem(STORAGE_FULL, "the relay's disk has no room for this payload; ask its operator to free space")


@asynccontextmanager
async def stage(call: Call[ChunkQuery, bytes]) -> AsyncIterator[None]:
    """Store a piece before the transaction counts it, as the payload's only writer."""
    number, offset, data = call.blob.id, call.query.offset, call.body
    try:
        async with call.relay.blobs.writing(number) as writer:
            blob = await call.relay.database.read(lambda db: store.find(db, number))
            if blob is not None and blob.received == offset and offset + len(data) <= blob.size:
                _must_have_room(call, len(data))  # concurrent announcements may have counted on the same space
                hashing = asyncio.to_thread(call.relay.digests.after, number, offset, data)
                piece, running = await asyncio.gather(writer.write(offset, data), hashing)
                end = offset + len(data)
                digest = await _whole(call, piece, running) if end == blob.size else None
                call.staged = Staged(end, piece, digest, running)
            yield
            if call.staged is not None:
                await _counted(call, number, call.staged)
    except BlobBusyError:
        raise _busy() from None


async def _counted(call: AnyCall, blob: UUID, staged: Staged) -> None:
    """Follow up on a transaction that counted a piece, or that rejected the whole payload."""
    call.relay.digests.keep(blob, staged.end, staged.running if staged.digest is None else None)
    if staged.digest not in {None, call.blob.digest}:
        await call.relay.blobs.discard(blob, call.discarded)


def _busy() -> Problem:
    """Return the error for a concurrent write, perhaps of the same piece over a broken connection: worth a retry."""
    return Problem(UNAVAILABLE, "the payload is being written by another request; send this piece again later")


async def _whole(call: AnyCall, last: Piece | None, running: Any) -> bytes:
    """Return the digest of the payload whose last piece was just stored."""
    if running is not None:
        digest: bytes = running.digest()
        return digest
    pieces = await call.relay.database.read(lambda db: store.pieces(db, call.blob.id))
    return await call.relay.blobs.digest(call.blob.id, pieces if last is None else [*pieces, last])


def write(call: Call[ChunkQuery, bytes], db: Connection) -> RouteAnswer | Problem:
    """Count a piece that is on disk; the last one completes the payload or discards it."""
    blob, offset = call.blob, call.query.offset
    if blob.received != offset:
        raise Problem(CONFLICT, f"{blob.received} bytes are stored; continue at that offset", received=blob.received)
    if offset + len(call.body) > blob.size:
        raise Problem(BAD_REQUEST, f"the piece exceeds the announced size of {blob.size} bytes")
    staged: Staged | None = call.staged
    if staged is None:  # the offset changed after staging
        raise _busy()
    if staged.digest is not None and staged.digest != blob.digest:
        call.discarded = [*store.discard(db, blob.id), *([] if staged.piece is None else [staged.piece])]
        return Problem(
            BAD_DIGEST, "the payload does not have the announced digest and was discarded; announce it again"
        )
    if staged.piece is not None:
        store.add_piece(db, blob.id, staged.piece)
    store.advance(db, blob.id, from_=offset, to=staged.end, complete=staged.digest is not None)
    call.counts.append(partial(call.relay.metrics.payload_bytes.labels("in").inc, len(call.body)))
    return RouteAnswer(200, BytesReceived(received=staged.end))


async def fetch(call: AnyCall, request: web.Request) -> web.StreamResponse:
    """Send a payload or a range of it."""
    blob = call.blob
    if not blob.complete:
        raise Problem(CONFLICT, "the payload is not complete yet; retry later", received=blob.received)
    start, stop = _range(request, blob.size)
    pieces = await call.relay.database.read(lambda db: store.pieces(db, blob.id))
    ranged = "Range" in request.headers
    response = web.StreamResponse(status=206 if ranged else 200, headers={"Accept-Ranges": "bytes"})
    response.content_type = BYTES
    response.content_length = stop - start
    if ranged:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
    await response.prepare(request)
    try:
        async for piece in call.relay.blobs.read(blob.id, pieces, start, stop):
            if call.signer in call.relay.endings:
                raise ConnectionAbortedError  # the reader's key has ended
            await response.write(piece)
            call.relay.metrics.payload_bytes.labels("out").inc(len(piece))
        await response.write_eof()
    except OSError as error:  # a problem document would be taken for payload bytes
        if not isinstance(error, ConnectionError):
            call.relay.metrics.faults.labels(cause_of(error)).inc()
            _log.error("payload cannot be read", blob=blob.id, exc_info=error)
        if request.transport is not None:
            request.transport.abort()
    return response


def _range(request: web.Request, size: int) -> tuple[int, int]:
    try:
        wanted = request.http_range
    except ValueError:
        raise Problem(BAD_RANGE, "expected a single byte range such as bytes=1024-") from None
    start, stop, _ = wanted.indices(size)
    if start >= stop:
        raise Problem(BAD_RANGE, f"the payload has {size} bytes")
    return start, stop


ROUTES = (
    Route(
        name="announce",
        method="POST",
        path="/v1/runs/{run}/blobs",
        summary="Announce a payload, or ask how much of it is stored",
        access=Access.RUN_WRITER,
        body=Json(Announcement),
        answers={201: PayloadUpload, 200: PayloadUpload},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT, QUOTA),
        writes=announce,
        appends=True,
    ),
    Route(
        name="write_blob",
        method="PUT",
        path="/v1/blobs/{blob}",
        summary="Write the next piece of a payload",
        access=Access.BLOB_SENDER,
        query=ChunkQuery,
        body=Chunk(),
        answers={200: BytesReceived},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        stage=stage,
        writes=write,
        appends=True,
    ),
    Route(
        name="read_blob",
        method="GET",
        path="/v1/blobs/{blob}",
        summary="A complete payload or a range of it",
        access=Access.BLOB_PARTY,
        answers={200: OCTETS, 206: OCTETS},
        refusals=(NOT_FOUND, CONFLICT, BAD_RANGE),
        streams=fetch,
    ),
)
