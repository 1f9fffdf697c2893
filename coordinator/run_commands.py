"""The analyst's commands for runs: to carry one out, also in a simulation, and to look at those that are over."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import typer

from coordinator.config import CoordinatorConfig
from coordinator.office import Office, in_office, journal_of
from coordinator.options import AsJson, Config, Data, RunId
from relay.service.command import report
from secagg.errors import ParameterError


def run(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[PROJECT] ANALYSIS",
            help="the project's ID or name, if the file does not say it, and a TOML file with one analysis or several",
        ),
    ],
    simulate: Annotated[
        Path | None, typer.Option(help="run against the tables in this folder, NAME.csv or NAME.parquet for each site")
    ] = None,
    terms: Annotated[Path | None, typer.Option(help="in a simulation, the terms to hold the queries against")] = None,
    resume: Annotated[UUID | None, typer.Option(help="ID of a run that was cut off, to go on with it")] = None,
    progress: Annotated[bool, typer.Option(help="show on stderr what happens")] = True,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Carry out an analysis over the sites that confirmed the roster, and print the results."""
    from coordinator.projects import find, sealed  # noqa: PLC0415  # Numba is loaded by runs alone
    from coordinator.results import as_facts, as_words  # noqa: PLC0415
    from coordinator.run_file import read_run_file  # noqa: PLC0415
    from coordinator.runs import Report, carry_out  # noqa: PLC0415

    *named, path = places
    if len(named) > 1:
        raise ParameterError("name one project and one file, or one file that names its project")
    file = read_run_file(Path(path))
    if simulate is not None:
        run_id, done = _simulated(file.tasks, simulate, terms, progress=progress, as_json=as_json)
        report(as_facts(run_id, done), as_words(done), as_json=as_json)
        return
    project = named[0] if named else file.project
    if project is None:
        raise ParameterError(f"name the project: run PROJECT {path}, or project = ... in the file")
    run_id = resume or uuid4()

    async def work(office: Office) -> Report:
        office.journal.lock()
        found = await sealed(office.relay, await find(office.relay, project))
        with _shown(progress=progress, as_json=as_json) as show:
            return await carry_out(
                file.tasks, run_id, found, office.settings, office.identity, office.journal, office.relay, show
            )

    sys.stderr.write(f"run {run_id}\n")
    done = in_office(data, config, work)
    report(as_facts(run_id, done), as_words(done), as_json=as_json)


def runs(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the runs of this coordinator, the newest first."""
    from coordinator.run import earlier_runs  # noqa: PLC0415

    with journal_of(CoordinatorConfig.load(data=data, config=config)) as journal:
        found = earlier_runs(journal.connection)
    facts = [
        {
            "run": str(one.id),
            "project": one.project,
            "analyses": list(one.analyses),
            "outcome": one.outcome,
            "began": one.began,
            "ended": one.ended,
            "detail": one.detail,
        }
        for one in found
    ]
    lines = [
        f"{one.id}  {_date(one.began)}  {one.outcome:<10} {one.project}: {', '.join(one.analyses)}"
        + (f" ({one.detail})" if one.detail else "")
        for one in found
    ]
    report({"runs": facts}, "\n".join(lines) or "there was no run yet", as_json=as_json)


def show(run: RunId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show the results of an earlier run, made again from the sums in the journal; nobody is asked for anything."""
    done = _earlier(run, data, config)
    facts = {"outcome": done.outcome, "detail": done.detail, "project": done.project, **done.to_dict()}
    report(facts, done.summary() or f"no result: {done.outcome}", as_json=as_json)


def export(
    run: RunId,
    out: Annotated[Path | None, typer.Option(help="the file; by default RUN.html here")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write an earlier run as one HTML page: tables, figures, cohort, floors, versions, the receipt's hash."""
    path = out or Path(f"{run}.html")
    _earlier(run, data, config).export(path)
    report({"run": str(run), "file": str(path)}, f"written: {path}", as_json=as_json)


COMMANDS = (run, runs, show, export)


def _earlier(run: UUID, data: Path | None, config: Path | None) -> Any:
    from coordinator.run import earlier_run  # noqa: PLC0415

    with journal_of(CoordinatorConfig.load(data=data, config=config)) as journal:
        return asyncio.run(earlier_run(journal.connection, run))


def _simulated(tasks: Any, folder: Path, terms: Path | None, *, progress: bool, as_json: bool) -> Any:
    from coordinator.projects import read_terms  # noqa: PLC0415
    from coordinator.simulation import Simulation, read_folder  # noqa: PLC0415

    simulation = Simulation(read_folder(folder), None if terms is None else read_terms(terms))
    with _shown(progress=progress, as_json=as_json) as show:
        return asyncio.run(simulation.carry_out(tasks, show))


@contextmanager
def _shown(*, progress: bool, as_json: bool) -> Iterator[Any]:
    from coordinator import progress as shown  # noqa: PLC0415

    if progress and as_json:
        yield shown.as_json
        return
    with shown.on_screen(visible=progress) as show:
        yield show


def _date(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
