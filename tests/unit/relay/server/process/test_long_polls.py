"""No wake-up is lost between looking and waiting, and no poll waits for longer than it should."""

import asyncio
from contextlib import ExitStack

from relay.server.process.long_polls import GATHER_S, LongPolls

ME, OTHER = b"m" * 32, b"o" * 32


async def test_a_wake_up_between_looking_and_waiting_is_kept():
    long_polls = LongPolls(4)
    with long_polls.poll(ME) as poll:
        long_polls.wake([OTHER, ME])
        assert await poll.wait(0.01)
        assert not await poll.wait(0.01)  # each counts once


async def test_only_those_who_are_meant_wake():
    long_polls = LongPolls(4)
    with long_polls.poll(ME) as one, long_polls.poll(ME) as two, long_polls.poll(OTHER) as three:
        assert long_polls.waiting() == 3
        long_polls.wake([ME, b"nobody"])
        assert [await poll.wait(0.01) for poll in (one, two, three)] == [True, True, False]
    assert long_polls.waiting() == 0


async def test_one_too_many_ends_the_oldest():
    long_polls = LongPolls(2)
    with long_polls.poll(ME) as one, long_polls.poll(ME) as two, long_polls.poll(ME) as three:
        assert [poll.ended for poll in (one, two, three)] == [True, False, False]
        assert not await one.wait(5)


async def test_many_at_once_end_all_but_the_latest():
    """Also where those that were ended have not left yet."""
    long_polls = LongPolls(2)
    with ExitStack() as stack:
        polls = [stack.enter_context(long_polls.poll(ME)) for _ in range(10)]
        assert [poll.ended for poll in polls] == [True] * 8 + [False] * 2


async def test_closing_ends_all_and_every_later_one():
    long_polls = LongPolls(4)
    with long_polls.poll(ME) as poll:
        waiting = asyncio.create_task(poll.wait(5))
        await asyncio.sleep(0)
        long_polls.close()
        assert not await waiting
    with long_polls.poll(ME) as late:
        assert not await late.wait(5)


async def test_a_reader_of_a_stream_rests_between_answers_and_nobody_else_does():
    long_polls = LongPolls(4)
    assert long_polls.rest_s(ME) == 0
    long_polls.answered(ME)
    assert 0 < long_polls.rest_s(ME) <= GATHER_S
    assert long_polls.rest_s(OTHER) == 0
    await asyncio.sleep(2 * GATHER_S)
    assert long_polls.rest_s(ME) == 0
