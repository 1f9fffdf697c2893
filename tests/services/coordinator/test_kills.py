"""Coordinators and standbys killed at labelled points: each run ends correctly or with a named error; no masking twice.

`make kills KILLS=300` kills more of them, for at most MINUTES.
"""

import os
import time
from pathlib import Path
from uuid import UUID

import numpy as np

from coordinator.journal.receipts import receipt_of
from coordinator.journal.tables import RunTables
from coordinator.report.recall import recall
from relay.api.states import FINAL_RUN, RunState
from secagg.receipts import verify_receipt
from tests.support.cohort import Cohort, cohort
from tests.support.coordinator_child import POINTS, life
from tests.support.network import KAPLAN_MEIER

KILLS = int(os.environ.get("KILLS", "2"))
MINUTES = float(os.environ.get("MINUTES", "3"))
TASKS = [{**KAPLAN_MEIER, "row_limit": limit} for limit in (1000, 999, 998)]
FOLDERS = ("first", "second")
PACED = {"step_s", "grace_s", "lease_s", "rounds"}
MOST_KILLS = 5
"""Of one run; then it is left to end."""


async def test_whoever_is_killed_every_run_ends_right_or_by_name_and_nobody_masks_twice(
    tmp_path: Path, note_seed
) -> None:
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    note_seed(seed)
    draw = np.random.default_rng(seed)  # noqa: TID251 - which process dies where
    began = time.monotonic()
    kills = takeovers = 0
    ended: dict[str, int] = {}
    async with cohort(tmp_path / "net", sites=4) as there:
        project = await there.project()
        for name in FOLDERS:
            (there.folder / name).mkdir(mode=0o700)
        while kills < KILLS and time.monotonic() < began + 60 * MINUTES:
            async with there.session(FOLDERS[0]) as session:
                run = await there.begin(session, project, *TASKS, within_s=300)
            died = 0
            role, folder = "resume", FOLDERS[0]
            while True:
                dies = died < min(MOST_KILLS, KILLS - kills)
                name = draw.choice(list(POINTS))
                point = f"{name}:{draw.integers(1, POINTS[name] + 1)}" if dies else ""
                settings = there.settings(folder).model_dump(mode="json", include={"relay", "data", *PACED})
                if not await life(settings, there.seed, role, run, point):
                    if await is_over(there, run):
                        break
                    role, folder = "standby", str(draw.choice(FOLDERS))
                    continue
                died, kills = died + 1, kills + 1
                folder = str(draw.choice(FOLDERS))
                takeovers += folder != FOLDERS[0]
                role = str(draw.choice(("resume", "standby"))) if folder == FOLDERS[0] else "standby"
            how = await checked(there, run)
            ended[how] = ended.get(how, 0) + 1
        there.assert_nobody_masked_twice()
    print(f"\n{kills} kills, {takeovers} takeovers, runs by how they ended: {ended}, seed {seed}")
    assert kills


async def is_over(there: Cohort, run: UUID) -> bool:
    async with there.settings().client(there.head) as relay:
        return (await relay.run(run)).state in FINAL_RUN


async def checked(there: Cohort, run: UUID) -> str:
    """How a run ended, which both journals agree on; a result is the pooled one."""
    for name in FOLDERS:
        async with there.session(name) as session:
            found = await session.relay.run(run)
            assert found.state in FINAL_RUN
            record = next((one for one in session.records.all() if one.run == run), None)
            if found.state is RunState.COMPLETED and record is not None and record.state is RunState.COMPLETED:
                report = await recall(record, RunTables(session.journal.connection, run))
                assert len(report.results) == len(TASKS)
                there.assert_pooled(report)
                verify_receipt(receipt_of(session.journal, run, there.head))
                return "completed"
    assert found.state is RunState.FAILED
    assert found.reason
    return found.reason
