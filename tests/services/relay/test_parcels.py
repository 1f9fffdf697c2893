"""Logs and files that only their addressee can open."""

import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from nacl.public import SealedBox
from nacl.signing import VerifyKey

from relay.api.wire import FIRST_PARCEL
from relay.client.parcels import LOG, PIECE_BYTES, ParcelError, Parcels, _Letter, _place
from relay.client.transport import RelayError
from relay.server.store import retention
from secagg import envelope
from secagg.errors import ParameterError
from secagg.identity import SealError


@pytest.fixture
async def desks(scene):
    """The parcels of the coordinator and of two sites."""
    async with (
        scene.client(scene.coordinator) as lead,
        scene.client(scene.first) as first,
        scene.client(scene.second) as second,
    ):
        yield (
            Parcels(lead, scene.coordinator, scene.run, leads=True),
            Parcels(first, scene.first, scene.run, leads=False),
            Parcels(second, scene.second, scene.run, leads=False),
        )


async def test_a_log_to_the_coordinator_and_a_word_back(scene, desks):
    lead, first, second = desks
    number = await first.send_log(scene.coordinator.public, "round 3", b"too few rows in stratum 2")
    (parcel,) = await lead.receive()
    assert (parcel.id, parcel.author, parcel.name, parcel.text, parcel.fault) == (
        number,
        scene.first.public,
        "round 3",
        b"too few rows in stratum 2",
        None,
    )
    assert await lead.receive(parcel.id) == []
    await lead.send_log(scene.first.public, "answer", b"lower the cell floor")
    assert [(parcel.name, parcel.text) for parcel in await first.receive()] == [("answer", b"lower the cell floor")]
    assert await second.receive() == []


async def test_a_coordinator_leaves_parcels_for_itself_and_no_messages(scene, desks):
    _, first, _ = desks
    me = scene.coordinator.public
    parcel = scene.frame(scene.coordinator, kind=FIRST_PARCEL + 2, recipient=0)
    content = b"what a second process goes on from"
    async with scene.client(scene.coordinator) as lead:
        payload = await lead.upload(scene.run, content, size=len(content), digest=sha256(content).digest(), to=me)
        number = await lead.post_message(scene.run, me, parcel, payload)
        (found,) = await lead.parcels(scene.run)
        assert (found.id, found.sender, found.frame) == (number, me, parcel)
        assert b"".join([part async for part in lead.download(found.payload.id)]) == content
        assert await lead.messages() == []
        with pytest.raises(RelayError, match="forbidden"):
            await lead.post_message(scene.run, me, scene.frame(scene.coordinator, recipient=0))
        with pytest.raises(RelayError, match="bad-frame"):
            await lead.post_message(scene.run, me, scene.frame(scene.coordinator, kind=FIRST_PARCEL + 2, recipient=1))
    assert await first.receive() == []


async def test_parcels_are_no_messages_of_the_protocol(scene, desks):
    lead, first, _ = desks
    await first.send_log(scene.coordinator.public, "log", b"x")
    async with scene.client(scene.coordinator) as relay:
        assert await relay.messages() == []
        await relay.change_run(scene.run, "running", "failed")
        with pytest.raises(RelayError, match="conflict"):
            await relay.post_message(scene.run, None, scene.frame(scene.coordinator))
    await first.send_log(scene.coordinator.public, "why it failed", b"y")  # when it is needed most
    assert [parcel.name for parcel in await lead.receive()] == ["log", "why it failed"]


async def test_a_run_that_is_over_takes_parcels_until_it_is_purged(scene, desks, tmp_path):
    _, first, _ = desks
    source = tmp_path / "source"
    source.write_bytes(b"figures")
    async with scene.client(scene.coordinator) as relay:
        await relay.change_run(scene.run, "running", "completed")
    await first.send_file(scene.coordinator.public, "figures", source)

    def purge(db) -> None:
        while not retention.purge(db, scene.run, most=100, now=1.0).done:
            pass

    scene.relay.transact(purge)
    source.write_bytes(b"other figures")
    with pytest.raises(RelayError, match="conflict"):
        await first.send_file(scene.coordinator.public, "figures", source)
    with pytest.raises(RelayError, match="conflict"):
        await first.send_log(scene.coordinator.public, "log", b"x")


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, 2 * PIECE_BYTES + 77])
async def test_a_file(scene, desks, tmp_path, size):
    lead, first, _ = desks
    source, target = tmp_path / "model.bin", tmp_path / "received.bin"
    source.write_bytes(os.urandom(size))
    await lead.send_file(scene.first.public, source.name, source)
    (parcel,) = await first.receive()
    assert (parcel.name, parcel.size) == ("model.bin", size)
    await first.fetch(parcel, target)
    assert target.read_bytes() == source.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["model.bin", "received.bin"]


async def test_the_relay_has_no_plaintext(scene, desks, tmp_path):
    lead, first, _ = desks
    canary = os.urandom(24).hex().encode()
    source = tmp_path / "canary"
    source.write_bytes(canary * 1000)
    await first.send_log(scene.coordinator.public, "log", canary)
    await first.send_file(scene.coordinator.public, "file", source)
    rows = scene.relay.transact(_all_frames)
    assert len(rows) >= 2
    assert not any(canary in frame for frame in rows)
    kept = b"".join(path.read_bytes() for path in scene.relay.data.rglob("*") if path.is_file())
    assert canary not in kept
    assert (await lead.receive())[0].text == canary  # it was there, sealed


def _all_frames(db) -> list[bytes]:
    from sqlalchemy import select

    from relay.server.store import schema

    return list(db.scalars(select(schema.message.c.frame)))


async def test_nobody_passes_on_another_s_letter(scene, desks):
    """A site cannot read what another one sealed, but could sign the sealed bytes as its own."""
    lead, first, second = desks
    letter = first._letter(scene.coordinator.public, "log", text=b"mine")
    body = SealedBox(VerifyKey(scene.coordinator.public).to_curve25519_public_key()).encrypt(letter.encode())
    await second._post(LOG, scene.coordinator.public, letter, None)
    frame = envelope.sign(scene.second, body, kind=LOG, epoch=bytes(32), sender=1, recipient=0)
    async with scene.client(scene.second) as relay:
        await relay.post_message(scene.run, scene.coordinator.public, frame.encode())
        for_another = envelope.sign(
            scene.second, scene.frame(scene.second), kind=LOG, epoch=_place(scene.run), sender=1, recipient=0
        )
        await relay.post_message(scene.run, scene.coordinator.public, for_another.encode())
    faults = [parcel.fault for parcel in await lead.receive()]
    assert ["is not from" in fault for fault in faults] == [True, False, False]
    assert "another run" in faults[1]
    assert "not sealed for this identity" in faults[2]
    await first.send_log(scene.coordinator.public, "log", b"honest")
    assert (await lead.receive())[-1].text == b"honest"  # the bad ones stop nobody


async def test_a_file_that_was_cut_or_exchanged(scene, desks, tmp_path):
    lead, first, _ = desks
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(2 * PIECE_BYTES))
    await first.send_file(scene.coordinator.public, "file", source)
    (parcel,) = await lead.receive()
    async with scene.client(scene.first) as relay:
        whole = b"".join([piece async for piece in relay.download(parcel.payload)])
        for changed in (
            whole[: -PIECE_BYTES - 17],
            whole[:24] + whole[24 + PIECE_BYTES + 17 :],
            whole[:-1] + bytes([whole[-1] ^ 1]),
            whole[:24],
            b"x",
        ):
            blob = await relay.upload(
                scene.run,
                changed,
                size=len(changed),
                digest=sha256(changed).digest(),
                to=scene.coordinator.public,
            )
            with pytest.raises(ParcelError):
                await lead.fetch(replace(parcel, payload=blob), target)
            assert not target.exists()
    await lead.fetch(parcel, target)


def test_only_the_addressee_opens(scene_identities):
    ours, theirs = scene_identities
    letter = _Letter(run=bytes(16), author=ours.public, addressee=theirs.public, name=b"x", text=b"y", key=b"", size=0)
    sealed = SealedBox(VerifyKey(theirs.public).to_curve25519_public_key()).encrypt(letter.encode())
    assert _Letter.decode(theirs.unseal(sealed)) == letter
    for wrong in (sealed[:-1], b"", sealed[:-1] + b"\0"):
        with pytest.raises(SealError):
            theirs.unseal(wrong)
    with pytest.raises(SealError):
        ours.unseal(sealed)


@pytest.fixture
def scene_identities():
    from secagg.identity import Identity

    return Identity(os.urandom(32)), Identity(os.urandom(32))


async def test_what_cannot_be_sent(scene, desks, tmp_path):
    _, first, _ = desks
    for name, text in (("", b""), ("\n", b""), ("log", bytes(2 << 20))):
        with pytest.raises(ParameterError):
            await first.send_log(scene.coordinator.public, name, text)
    with pytest.raises(FileNotFoundError):
        await first.send_file(scene.coordinator.public, "file", Path(tmp_path / "none"))
