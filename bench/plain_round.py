"""A round that hides nothing from the coordinator: float32 vectors, sealed, spooled, sent and added as masked ones are.

It leaves out the steps that secrecy requires: quantising, masks, packing to b bits, lanes, signed survivors, shares.
"""

import asyncio
from hashlib import sha256
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from bench.scene import Member, Scene
from secagg import envelope
from secagg.envelope import COORDINATOR, EVERYONE
from secagg.messages import Open, Result, Upload
from secagg.params import Schema, Segment
from secagg.protocol.ring_vector import RingVector, SealedVector, open_vector, seal_vector

EPOCH = bytes(32)
KEY = sha256(b"plain").digest()


def schema(d: int) -> Schema:
    """Return a schema under which float32 entries are chunked, digested and sealed as 32-bit elements."""
    return Schema(ring_bits=32, mac_lanes=0, segments=(Segment(count=d, clip=1.0, step=1.0),))


async def take_part(site: Member, index: int, scene: Scene, run: UUID, vector: NDArray[np.float64]) -> None:
    """Upload once when asked, then receive the sum."""
    while True:
        for message in await site.mail():
            frame = envelope.parse(message.frame or b"")
            frame.verify(scene.coordinator.identity.public)
            if frame.kind == Open.KIND:
                bits = await asyncio.to_thread(lambda: vector.astype("<f4").view(np.uint32))
                body, chunks = await asyncio.to_thread(sealed, bits, index)
                frame = signed(site, Upload.KIND, body, frame.round, sender=index, recipient=COORDINATOR)
                with site.journal.transaction() as batch:
                    batch.read_to(message.id)
                    batch.post(run, scene.coordinator.identity.public, frame, chunks)
                await site.deliver()
            else:
                payload = await site.payload_of(message)
                await asyncio.to_thread(opened, payload or b"", len(vector), frame)
                with site.journal.transaction() as batch:
                    batch.read_to(message.id)
                return


async def lead(scene: Scene, run: UUID, number: int, d: int) -> NDArray[np.float64]:
    """Ask all sites, add what they send, publish the sum and return it."""
    head = scene.coordinator
    with head.journal.transaction() as batch:
        batch.post(run, None, signed(head, Open.KIND, b"", number, sender=COORDINATOR, recipient=EVERYONE))
    await head.deliver()
    total, heard = np.zeros(d), 0
    while heard < len(scene.sites):
        for message in await head.mail():
            frame = envelope.parse(message.frame or b"")
            frame.verify(message.sender)
            total += opened(await head.payload_of(message) or b"", d, frame)
            with head.journal.transaction() as batch:
                batch.read_to(message.id)
            heard += 1
    body, chunks = sealed(total.astype("<f4").view(np.uint32), COORDINATOR)
    with head.journal.transaction() as batch:
        batch.post(run, None, signed(head, Result.KIND, body, number, sender=COORDINATOR, recipient=EVERYONE), chunks)
    await head.deliver()
    return total


def signed(member: Member, kind: int, body: bytes, number: int, *, sender: int, recipient: int) -> bytes:
    frame = envelope.sign(
        member.identity,
        body,
        kind=kind,
        epoch=EPOCH,
        transcript=EPOCH,
        round_=number,
        sender=sender,
        recipient=recipient,
    )
    return frame.encode()


def sealed(bits: NDArray[np.uint32], sender: int) -> SealedVector:
    """Seal float32 entries as 32-bit elements; return the digest to sign, and the chunks."""
    vector = RingVector(schema(len(bits)), bits, np.zeros(0, np.uint64))
    return seal_vector(vector, KEY, bytes([sender]))


def opened(payload: bytes, d: int, frame: envelope.Frame) -> NDArray[np.float32]:
    """Unseal a vector and check it against its signed digest."""
    return open_vector(payload, schema(d), KEY, bytes([frame.sender]), frame.body).elements.view("<f4")
