"""Coordinator processes that are killed: forked from a server that has everything imported, so that starts are cheap.

    killed = await life(settings, seed, role, run, point)

A child works on a run as `secagg-coordinator resume` does, or waits for runs to take over as `standby` does, until it
is done or reaches the point at which it is killed by SIGKILL.
"""

import asyncio
import logging
import multiprocessing
import signal
from itertools import count
from typing import Any, Literal
from uuid import UUID

from coordinator.projects.projects import sealed
from coordinator.runs.lifecycle import carry_out
from coordinator.runs.standby import Standby
from coordinator.session.config import CoordinatorConfig
from coordinator.session.progress import nowhere
from coordinator.session.session import Session, at_work
from relay.api.states import FINAL_RUN
from relay.service import crashpoints, logs
from secagg.errors import SecaggError
from secagg.identity import Identity

Role = Literal["resume", "standby"]
POINTS = {
    "journal-before-commit": 60,
    "journal-after-commit": 60,
    "outbox-sent": 40,
    "checkpoint-made": 12,
    "checkpoint-stored": 12,
    "before-unmask": 2,
}
"""Points at which a child may die, and about how often a run of a few rounds passes each."""
LIFE_S = 120.0

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


async def life(settings: dict[str, Any], seed: bytes, role: Role, run: UUID, point: str) -> bool:
    """Run a coordinator process; returns whether it died at its point rather than finished.

    Raises:
        AssertionError: it hung, or ended in some other way.
    """
    child = _processes.Process(target=_live, args=(settings, seed, role, run, point))
    child.start()
    await asyncio.to_thread(child.join, LIFE_S)
    code = child.exitcode
    if code is None:
        child.kill()
        child.join()
        raise AssertionError(f"a coordinator ({role}, {point}) hung in run {run}")
    child.close()
    assert code in {0, -signal.SIGKILL}, f"a coordinator ({role}, {point}) ended with {code}"
    return code != 0


def _live(settings: dict[str, Any], seed: bytes, role: Role, run: UUID, point: str) -> None:
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    logs.configure("coordinator", level="error", json=True)
    name, _, passage = point.partition(":")
    crashpoints._NAME, crashpoints._PASSAGE, crashpoints._passages = name, int(passage or 1), count(1)

    async def work() -> None:
        async with at_work(CoordinatorConfig(**settings), Identity(seed)) as session:
            await (_resume(session, run) if role == "resume" else _stand_by(session, run))

    asyncio.run(work())


async def _resume(session: Session, run: UUID) -> None:
    try:
        await carry_out(run, await sealed(session.relay, session.records.get(run).project), session, nowhere)
    except SecaggError:  # any error will do: journal and relay record how the run ended
        return


async def _stand_by(session: Session, run: UUID) -> None:
    stop = asyncio.Event()
    watching = asyncio.create_task(Standby(session).watch(stop))
    while (await session.relay.run(run)).state not in FINAL_RUN:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    await asyncio.sleep(0.2)
    stop.set()
    await watching
