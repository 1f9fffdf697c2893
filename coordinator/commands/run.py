"""Commands that execute runs, real or simulated, and print their results."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from coordinator.commands.admin import admin_port
from coordinator.commands.options import CoordinatorOptions, RunArgument
from coordinator.projects import amendments
from coordinator.projects.projects import SealedProject, find, read_terms, task_of_plan, tasks_of
from coordinator.report.text import as_facts, as_words
from coordinator.runs import lifecycle
from coordinator.runs.lifecycle import Order, RunOutcome
from coordinator.runs.run_file import read_run_file
from coordinator.runs.simulation import Simulation, read_folder
from coordinator.session import progress as shown
from coordinator.session.session import Session, in_session
from relay.service.command import Commands
from secagg.errors import ParameterError

app = Commands()

INTERRUPTED = 130  # the exit code that shells use for Ctrl-C

Progress = Annotated[bool, typer.Option(help="show progress on stderr")]
Within = Annotated[float | None, typer.Option(min=1, help="seconds until the run's deadline")]


@app.command("run")
def run(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[PROJECT] [TASK | ANALYSIS]",
            help="Project (ID or name; omit if the file names it), then a task of its plan or a TOML file of analyses. "
            "With the project alone, its own tasks run.",
        ),
    ],
    common: CoordinatorOptions,
    simulate: Annotated[
        Path | None, typer.Option(help="folder with tables to simulate the sites: NAME.csv or NAME.parquet for each")
    ] = None,
    terms: Annotated[Path | None, typer.Option(help="in a simulation, TOML file with the terms to enforce")] = None,
    resume: Annotated[str | None, typer.Option(help="ID of an interrupted run to continue, or its beginning")] = None,
    task: Annotated[int | None, typer.Option(min=0, help="index of a single project task to run, from 0")] = None,
    within: Within = None,
    quorum: Annotated[int, typer.Option(min=0, help="minimum number of sites in a sum")] = 0,
    version: Annotated[
        int | None,
        typer.Option(min=1, help="version of the plan; by default, the newest that enough sites agreed to"),
    ] = None,
    progress: Progress = True,
) -> None:
    """Run analyses over the sites that confirmed the roster, and print the results."""
    if len(places) > 2:
        raise ParameterError("too many arguments: give a project and a file, or only a file that names its project")
    is_file = Path(places[-1]).suffix in {".toml", ".json"} or Path(places[-1]).is_file()
    file = read_run_file(Path(places[-1])) if is_file else None
    if simulate is not None:
        if file is None:
            raise ParameterError("a simulation needs a file with the analyses to run")
        run_id, done = _simulated(file.tasks, simulate, terms, common, progress=progress)
        common.report(as_facts(run_id, done), as_words(done))
        return
    project = places[0] if file is None or len(places) > 1 else file.project
    if project is None:
        raise ParameterError(f"no project is named: use run PROJECT {places[-1]}, or set project = ... in the file")

    async def work(session: Session) -> tuple[UUID, SealedProject]:
        if resume is not None:
            resumed = session.records.find(resume)
            return resumed, await _of_run(session, resumed)
        named = await find(session.relay, project)
        found = await amendments.runnable(session.relay, session.identity, named, number=version)
        tasks = tasks_of(found.project) if file is None else file.tasks
        if not tasks:
            raise ParameterError("the project has no tasks; give a file, or set tasks with: project tasks")
        place = task
        if file is None and len(places) == 2:
            place = task_of_plan(found.terms, places[1])
        if place is not None and place >= len(tasks):
            raise ParameterError(f"the project has no task {place}; its tasks are numbered from 0 to {len(tasks) - 1}")
        chosen = tasks if place is None else tasks[place : place + 1]
        order = Order(
            tasks=chosen,
            task=place if file is None and found.terms.plan is None else None,
            within_s=within,
            quorum=quorum,
        )
        return lifecycle.begin(session, found, order), found

    _carry_out(work, common, progress=progress)


@app.command("resume")
def resume(run: RunArgument, common: CoordinatorOptions, progress: Progress = True) -> None:
    """Continue a paused or interrupted run, and print the results."""

    async def work(session: Session) -> tuple[UUID, SealedProject]:
        found = session.records.find(run)
        return found, await _of_run(session, found)

    _carry_out(work, common, progress=progress)


@app.command("retry")
def retry(run: RunArgument, common: CoordinatorOptions, within: Within = None, progress: Progress = True) -> None:
    """Rerun a finished run with all current sites, and print the results."""

    async def work(session: Session) -> tuple[UUID, SealedProject]:
        earlier = session.records.find(run)
        project = session.records.get(earlier).project
        found = await amendments.runnable(session.relay, session.identity, project)
        return lifecycle.retry(session, found, earlier, within), found

    _carry_out(work, common, progress=progress)


async def _of_run(session: Session, run: UUID) -> SealedProject:
    """Return the project of a run, in the version that it began with."""
    record = session.records.get(run)
    return await amendments.runnable(session.relay, session.identity, record.project, terms=record.terms)


def _carry_out(
    work: Callable[[Session], Awaitable[tuple[UUID, SealedProject]]], common: CoordinatorOptions, *, progress: bool
) -> None:
    """Execute the run that `work` returns, and print its report."""
    begun: list[UUID] = []

    async def inside(session: Session) -> tuple[UUID, RunOutcome]:
        run, project = await session.disk.persist(lambda: work(session))
        begun.append(run)
        sys.stderr.write(f"run {run}\n")
        await session.disk.persist(lambda: lifecycle.sweep(session))
        async with admin_port(session):
            with _shown(progress=progress, as_json=common.as_json) as show:
                return run, await lifecycle.carry_out(run, project, session, show)

    try:
        run, done = in_session(common.settings(), inside)
    except KeyboardInterrupt:
        for one in begun:
            sys.stderr.write(f"\ninterrupted; nothing is lost, resume with: secagg-coordinator resume {one}\n")
        sys.exit(INTERRUPTED)
    common.report(as_facts(run, done), as_words(done))


def _simulated(tasks: Any, folder: Path, terms: Path | None, common: CoordinatorOptions, *, progress: bool) -> Any:
    simulation = Simulation(read_folder(folder), None if terms is None else read_terms(terms))
    with _shown(progress=progress, as_json=common.as_json) as show:
        return asyncio.run(simulation.carry_out(tasks, show))


@contextmanager
def _shown(*, progress: bool, as_json: bool) -> Iterator[Any]:
    if progress and as_json:
        yield shown.as_json
        return
    with shown.on_screen(visible=progress) as show:
        yield show
