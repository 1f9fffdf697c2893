"""Parties take turns, nobody is starved, and an abandoned turn passes to the next."""

import asyncio

import pytest

from relay.server.limits.fair_queue import FairQueue


async def hold(turns: FairQueue, party: str, order: list[str], *, wait_s: float = 10) -> None:
    async with turns.turn(party, wait_s):
        order.append(party)
        await asyncio.sleep(0)


async def test_one_of_each_party_in_turn():
    turns, order = FairQueue(1), []
    flood = [asyncio.create_task(hold(turns, "flood", order)) for _ in range(50)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(hold(turns, party, order)) for party in ("a", "b", "a")]
    await asyncio.gather(*flood, *others)
    assert order.index("a") <= 4
    assert order.index("b") <= 4
    assert [order.count(party) for party in ("flood", "a", "b")] == [50, 2, 1]
    await asyncio.wait_for(hold(turns, "later", order), 1)


async def test_no_more_than_there_are():
    turns, now, most = FairQueue(3), 0, 0

    async def work(party: int) -> None:
        nonlocal now, most
        async with turns.turn(party, 10):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1

    await asyncio.gather(*(work(number % 4) for number in range(40)))
    assert (now, most) == (0, 3)


async def test_who_waits_too_long_gives_up_and_loses_nothing():
    turns, order = FairQueue(1), []
    async with turns.turn("holder", 1):
        with pytest.raises(TimeoutError):
            await hold(turns, "late", order, wait_s=0.01)
        cancelled = asyncio.create_task(hold(turns, "late", order))
        patient = asyncio.create_task(hold(turns, "patient", order))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
    await asyncio.wait_for(patient, 1)
    assert order == ["patient"]


async def test_a_turn_that_comes_while_its_holder_is_cancelled():
    turns, order = FairQueue(1), []
    async with turns.turn("holder", 1):
        unlucky = asyncio.create_task(hold(turns, "unlucky", order))
        await asyncio.sleep(0)
    unlucky.cancel()  # its turn was given a moment ago
    await asyncio.gather(unlucky, return_exceptions=True)
    await asyncio.wait_for(hold(turns, "next", order), 1)
    assert order[-1] == "next"
