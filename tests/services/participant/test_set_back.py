"""A site silently reset to an old state contradicts itself: the relay refuses it, and the epoch is burnt."""

import asyncio

import pytest

from participant.daemon.computation import Computation
from participant.daemon.daemon import Daemon
from participant.policy.rules import Policy
from participant.records.ledger import TABLES
from participant.settings.config import ParticipantConfig
from relay.client.outbox import deliver
from relay.party.journal import Journal, RestoredStateError
from relay.service.memory import Limits
from tests.support.relay_scene import Scene


async def test_another_frame_for_the_same_place_burns_the_epoch(relay, tmp_path):
    """Recipes 7 and 10: the relay keeps the first one, and the machine that made the second one is given up."""
    scene = await Scene.on(relay)
    to, place = scene.coordinator.public, f"{scene.run}.0123456789abcdef"
    journal = Journal(tmp_path / "site", TABLES)
    journal.lock()
    async with scene.client(scene.first) as client:
        before = scene.frame(scene.first, round_=3, body=b"masked")
        await client.post_message(scene.run, to, before)
        with journal.transaction() as batch:
            batch.put(place, b"a state that came back")
            batch.put("another run's", b"a state")
            batch.post(scene.run, to, scene.frame(scene.first, round_=3, body=b"masked anew"))
        with pytest.raises(RestoredStateError, match="already sent another frame") as told:
            await deliver(journal, client)
        assert told.value.run == scene.run
        assert journal.outgoing() == []  # it is not tried again

        config = ParticipantConfig(data=tmp_path / "site", relay=relay.url)
        computation = Computation(Limits(memory_mib=1024, minutes=1))
        daemon, tries = Daemon(config, scene.first, journal, client, Policy(), computation), []

        async def work() -> None:
            tries.append(1)
            if len(tries) == 1:
                raise told.value
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await daemon._forever(work)
        assert journal.machines() == ["another run's"]
        async with scene.client(scene.coordinator) as lead:
            assert [message.frame for message in await lead.messages()] == [before]
    journal.close()
