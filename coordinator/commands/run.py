"""Commands that execute runs, real or simulated, control them, and show earlier ones."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from coordinator.commands.options import AsJson, Config, Data, ProjectId, RunId
from coordinator.journal.records import RequestedAction, RunRecord
from coordinator.session.config import CoordinatorConfig
from coordinator.session.session import Session, in_office, journal_of
from relay.service.command import report
from secagg.errors import ParameterError

Progress = Annotated[bool, typer.Option(help="show progress on stderr")]
Within = Annotated[float | None, typer.Option(min=1, help="seconds until the run's deadline")]


def run(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[PROJECT] [ANALYSIS]",
            help="ID or name of the project, unless the file names it, and a TOML file with one or more analyses; "
            "without a file, the project's own tasks are run",
        ),
    ],
    simulate: Annotated[
        Path | None, typer.Option(help="folder with tables to simulate the sites: NAME.csv or NAME.parquet for each")
    ] = None,
    terms: Annotated[Path | None, typer.Option(help="in a simulation, TOML file with the terms to enforce")] = None,
    resume: Annotated[UUID | None, typer.Option(help="ID of an interrupted run to continue")] = None,
    task: Annotated[int | None, typer.Option(min=0, help="index of a single project task to run, from 0")] = None,
    within: Within = None,
    quorum: Annotated[int, typer.Option(min=0, help="least number of sites in a sum")] = 0,
    progress: Progress = True,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run analyses over the sites that confirmed the roster, and print the results."""
    from coordinator.projects.projects import SealedProject, find, tasks_of  # noqa: PLC0415  # Numba is loaded by runs alone
    from coordinator.projects.projects import sealed as sealed_of  # noqa: PLC0415
    from coordinator.report.text import as_facts, as_words  # noqa: PLC0415
    from coordinator.runs.lifecycle import Order, begin  # noqa: PLC0415
    from coordinator.runs.run_file import read_run_file  # noqa: PLC0415

    if len(places) > 2:
        raise ParameterError("too many arguments: give a project and a file, or only a file that names its project")
    is_file = len(places) == 2 or Path(places[-1]).suffix in {".toml", ".json"} or Path(places[-1]).is_file()
    file = read_run_file(Path(places[-1])) if is_file else None
    if simulate is not None:
        if file is None:
            raise ParameterError("a simulation needs a file with the analyses to run")
        run_id, done = _simulated(file.tasks, simulate, terms, progress=progress, as_json=as_json)
        report(as_facts(run_id, done), as_words(done), as_json=as_json)
        return
    project = places[0] if file is None or len(places) > 1 else file.project
    if project is None:
        raise ParameterError(f"no project is named: use run PROJECT {places[-1]}, or set project = ... in the file")

    async def work(office: Session) -> tuple[UUID, SealedProject]:
        sealed = await sealed_of(office.relay, await find(office.relay, project))
        if resume is not None:
            return resume, sealed
        tasks = tasks_of(sealed.project) if file is None else file.tasks
        if not tasks:
            raise ParameterError("the project has no tasks; give a file, or set tasks with: project tasks")
        if task is not None and task >= len(tasks):
            raise ParameterError(f"the project has no task {task}; its tasks are numbered from 0 to {len(tasks) - 1}")
        chosen = tasks if task is None else tasks[task : task + 1]
        order = Order(tasks=chosen, task=task if file is None else None, within_s=within, quorum=quorum)
        return begin(office, sealed, order), sealed

    _carry_out(work, data, config, progress=progress, as_json=as_json)


def resume(
    run: RunId, progress: Progress = True, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Continue a paused or interrupted run, and print the results."""
    from coordinator.projects.projects import SealedProject, sealed  # noqa: PLC0415

    async def work(office: Session) -> tuple[UUID, SealedProject]:
        return run, await sealed(office.relay, office.records.get(run).project)

    _carry_out(work, data, config, progress=progress, as_json=as_json)


def retry(
    run: RunId,
    within: Within = None,
    progress: Progress = True,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Rerun a finished run with all current sites, and print the results."""
    from coordinator.projects.projects import SealedProject  # noqa: PLC0415
    from coordinator.projects.projects import sealed as sealed_of  # noqa: PLC0415
    from coordinator.runs.lifecycle import retry as repeat  # noqa: PLC0415

    async def work(office: Session) -> tuple[UUID, SealedProject]:
        sealed = await sealed_of(office.relay, office.records.get(run).project)
        return repeat(office, sealed, run, within), sealed

    _carry_out(work, data, config, progress=progress, as_json=as_json)


def pause(run: RunId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Pause a run once its open round is finished. Its deadline stays."""
    _wish(run, "pause", data, config, as_json=as_json)


def cancel(run: RunId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """End a run immediately; it cannot be resumed."""
    _wish(run, "cancel", data, config, as_json=as_json)


def runs(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List this coordinator's runs, newest first."""
    from coordinator.journal.records import RunRecords  # noqa: PLC0415

    with journal_of(CoordinatorConfig.load(data=data, config=config)) as journal:
        found = RunRecords(journal.connection).all()
    lines = [
        f"{one.run}  {_date(one.began)}  {one.state.value:<10} {one.name}: {', '.join(one.analyses)}"
        + (f" ({one.reason})" if one.reason else "")
        for one in found
    ]
    report({"runs": [_facts(one) for one in found]}, "\n".join(lines) or "there are no runs yet", as_json=as_json)


def show(run: RunId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show the results of an earlier run, recomputed from the sums in the journal without asking any site."""
    done = _earlier(run, data, config)
    facts = {"outcome": done.outcome, "detail": done.detail, "project": done.project, **done.to_dict()}
    report(facts, done.summary() or f"no result: {done.outcome}", as_json=as_json)


def export(
    run: RunId,
    out: Annotated[Path | None, typer.Option(help="file to write; by default RUN.html in the current folder")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Export an earlier run as one HTML page: tables, figures, cohort, floors, versions, and the receipt's hash."""
    path = out or Path(f"{run}.html")
    from coordinator.report.page import page  # noqa: PLC0415  # matplotlib takes a second to load

    path.write_text(page(_earlier(run, data, config)), encoding="utf-8")
    report({"run": str(run), "file": str(path)}, f"written: {path}", as_json=as_json)


def logs(
    run: RunId,
    site: Annotated[str | None, typer.Option(help="name of the only site to show")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the logs of a run that sites sent with `secagg-participant log send RUN`."""
    from coordinator.projects.site_logs import LogLine, received  # noqa: PLC0415

    async def work(office: Session) -> list[LogLine]:
        project = await office.relay.project((await office.relay.run(run)).project)
        names = {member.key: member.name for member in project.members}
        return await received(office.relay, office.identity, run, names)

    found = [line for line in in_office(data, config, work) if site in {None, line.site}]
    facts = [{"at": one.at, "site": one.site, "event": one.event, **one.facts} for one in found]
    lines = [
        f"{one.at}  {one.site:<20} {one.event}  "
        + " ".join(f"{name}={json.dumps(value)}" for name, value in one.facts.items())
        for one in found
    ]
    report(
        {"run": str(run), "lines": facts}, "\n".join(lines) or "no site has sent its log of this run", as_json=as_json
    )


def project_tasks(
    project: ProjectId,
    analysis: Annotated[Path | None, typer.Argument(help="TOML file with the tasks; without it, show them")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Set or show a project's ordered tasks. Every member sees them, and any number of runs can execute them."""
    from coordinator.projects.projects import set_tasks, tasks_of  # noqa: PLC0415
    from coordinator.runs.run_file import read_run_file  # noqa: PLC0415

    wanted = None if analysis is None else read_run_file(analysis).tasks

    async def work(office: Session) -> Any:
        return tasks_of(
            await office.relay.project(project) if wanted is None else await set_tasks(office.relay, project, wanted)
        )

    found = in_office(data, config, work)
    facts = [{"task": place, **task.model_dump(mode="json", exclude_none=True)} for place, task in enumerate(found)]
    lines = [f"{place:>3}  {task.analysis}" for place, task in enumerate(found)]
    report({"tasks": facts}, "\n".join(lines) or "the project has no tasks", as_json=as_json)


COMMANDS = (run, runs, show, export, pause, resume, cancel, retry, logs)


def _carry_out(work: Any, data: Path | None, config: Path | None, *, progress: bool, as_json: bool) -> None:
    """Execute the run that `work` returns, and print its report."""
    from coordinator.commands.admin import admin_port  # noqa: PLC0415
    from coordinator.report.text import as_facts, as_words  # noqa: PLC0415
    from coordinator.runs.lifecycle import RunOutcome, carry_out, sweep  # noqa: PLC0415

    async def inside(office: Session) -> tuple[UUID, RunOutcome]:
        run, sealed = await work(office)
        sys.stderr.write(f"run {run}\n")
        await sweep(office)
        async with admin_port(office):
            with _shown(progress=progress, as_json=as_json) as show:
                return run, await carry_out(run, sealed, office, show)

    run, done = in_office(data, config, inside)
    report(as_facts(run, done), as_words(done), as_json=as_json)


def _wish(run: UUID, wish: RequestedAction, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    from coordinator.runs.lifecycle import stop  # noqa: PLC0415

    async def work(office: Session) -> RunRecord:
        await stop(office, run, wish)
        return office.records.get(run)

    found = in_office(data, config, work)
    stopped = found.is_over or found.state.value == "paused"
    words = found.state.value if stopped else f"the process that executes the run will {wish} it"
    report(_facts(found), words, as_json=as_json)


def _facts(record: RunRecord) -> dict[str, Any]:
    return {
        "run": str(record.run),
        "project": record.name,
        "analyses": list(record.analyses),
        "task": record.task,
        "outcome": record.state.value,
        "detail": record.reason,
        "began": record.began,
        "deadline": record.deadline,
        "ended": record.ended,
        "repeats": None if record.repeats is None else str(record.repeats),
        "wish": record.wish,
        "relay_knows": record.told,
    }


def _earlier(run: UUID, data: Path | None, config: Path | None) -> Any:
    from coordinator.report.run import earlier_run  # noqa: PLC0415

    with journal_of(CoordinatorConfig.load(data=data, config=config)) as journal:
        return asyncio.run(earlier_run(journal.connection, run))


def _simulated(tasks: Any, folder: Path, terms: Path | None, *, progress: bool, as_json: bool) -> Any:
    from coordinator.projects.projects import read_terms  # noqa: PLC0415
    from coordinator.runs.simulation import Simulation, read_folder  # noqa: PLC0415

    simulation = Simulation(read_folder(folder), None if terms is None else read_terms(terms))
    with _shown(progress=progress, as_json=as_json) as show:
        return asyncio.run(simulation.carry_out(tasks, show))


@contextmanager
def _shown(*, progress: bool, as_json: bool) -> Iterator[Any]:
    from coordinator.session import progress as shown  # noqa: PLC0415

    if progress and as_json:
        yield shown.as_json
        return
    with shown.on_screen(visible=progress) as show:
        yield show


def _date(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
