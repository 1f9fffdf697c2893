"""Concurrent runs of several projects over one relay, with shared sites: all are correct, and none is starved.

`make many-runs RUNS=20 SITES=30` is the large test; it prints how evenly the runs progressed.
"""

import asyncio
import os
import time
from pathlib import Path

import numpy as np

from coordinator.projects.projects import sealed
from coordinator.runs.lifecycle import carry_out
from coordinator.session.progress import Event
from tests.support.cohort import Cohort, cohort
from tests.support.network import KAPLAN_MEIER

RUNS = int(os.environ.get("RUNS", "3"))
SITES = int(os.environ.get("SITES", "5"))
MEMBERS = 4
"""Sites of a project."""
TASKS = [{**KAPLAN_MEIER, "row_limit": limit} for limit in (1000, 999)]


async def test_runs_of_different_projects_go_on_at_once_and_evenly(tmp_path: Path) -> None:
    async with cohort(tmp_path / "net", sites=SITES) as there:
        members = [[there.sites[(i * 3 + j) % SITES] for j in range(MEMBERS)] for i in range(RUNS)]
        projects = [await there.project(sites) for sites in members]
        began = time.monotonic()
        done: list[list[float]] = [[] for _ in range(RUNS)]

        async def one(there: Cohort, number: int) -> None:
            def note(event: Event) -> None:
                if event.what in {"epoch-ready", "round-done"}:
                    done[number].append(time.monotonic() - began)

            run = await there.begin(session, projects[number], *TASKS, within_s=1200)
            report = await carry_out(run, await sealed(session.relay, projects[number]), session, note)
            there.assert_pooled(report, members[number])
            assert (await session.relay.run(run)).state == "completed"

        async with there.session(step_s=300.0, grace_s=60.0, lease_s=60.0) as session:
            await asyncio.gather(*(one(there, number) for number in range(RUNS)))
        there.assert_nobody_masked_twice()
    assert all(len(times) == 1 + len(TASKS) for times in done)
    last_first = max(times[0] for times in done)
    ended = np.array([times[-1] for times in done])
    print(
        f"\n{RUNS} runs over {SITES} sites: all right; ended after {ended.min():.1f} to {ended.max():.1f} s, median "
        f"{np.median(ended):.1f} s; the last one had its epoch after {last_first:.1f} s"
    )
