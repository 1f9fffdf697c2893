"""One reader for all runs of a process: each run gets its own mail, all of it, in order."""

import asyncio
from types import SimpleNamespace
from uuid import UUID

from coordinator.session.mailbox import Mailbox

RUNS = [UUID(int=i) for i in range(1, 9)]
LETTERS = 40


class Relay:
    """A mailbox with mail for several runs in turn; it takes its time, and counts who reads at once."""

    def __init__(self) -> None:
        self.mailbox = [SimpleNamespace(id=i + 1, run=RUNS[i % len(RUNS)]) for i in range(LETTERS * len(RUNS))]
        self.reading = self.most = 0

    async def messages(self, after: int, _wait: float) -> list[SimpleNamespace]:
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            await asyncio.sleep(0.001 if after < len(self.mailbox) else 5)
            return self.mailbox[after : after + 7]
        finally:
            self.reading -= 1


async def test_runs_that_begin_at_once_from_different_places_miss_nothing() -> None:
    relay = Relay()
    mailbox = Mailbox(relay)  # type: ignore[arg-type]

    async def read(number: int) -> list[int]:
        after = (len(RUNS) - number) * 9  # each later one begins further back
        wanted = [one.id for one in relay.mailbox if one.run == RUNS[number] and one.id > after]
        async with mailbox.subscription(RUNS[number], after) as subscription:
            found = []
            while len(found) < len(wanted):
                message = await subscription.get(5)
                assert message is not None, (found, wanted)
                found.append(message.id)
        assert found == wanted
        return found

    await asyncio.gather(*(read(number) for number in range(len(RUNS))))
    assert relay.most == 1
    again = RUNS[0]
    async with mailbox.subscription(again, 0) as subscription:  # from the beginning, after everybody left
        assert (await subscription.get(5)).id == 1
