"""The interface for notebooks and scripts: projects, runs and their results.

    from coordinator import connect

    with connect() as session:
        run = session.project("Lung survival").run("analysis.toml")
        print(run.result.summary())

`connect` waits for its answers, even in a notebook, whose own event loop is busy with the cell; `connect_async` is for
programs with an event loop. With `simulate=` the same script runs over local tables (see
`coordinator.runs.simulation`).
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias
from uuid import UUID

from coordinator.notebook.loop import Loop
from coordinator.projects.amendments import runnable
from coordinator.projects.projects import find, led, read_terms
from coordinator.report.run import RunListing, RunReport, earlier_run, earlier_runs
from coordinator.runs.lifecycle import Order, begin, carry_out
from coordinator.runs.run_file import read_run_file
from coordinator.runs.simulation import Simulation, Tables
from coordinator.session import progress as shown
from coordinator.session.config import CoordinatorConfig
from coordinator.session.session import Session, opened, passphrase
from participant.analyses.base.errors import SpecError
from participant.analyses.base.spec import TableSpec
from participant.analyses.catalogue import parse_spec
from participant.study.terms import ProjectTerms
from secagg.errors import ParameterError

Task: TypeAlias = TableSpec | Mapping[str, Any] | str | Path
"""A specification, a mapping of its members, or a TOML or JSON file with one or more specifications."""


@dataclass(frozen=True, slots=True)
class AsyncProjectHandle:
    """A project whose roster is sealed, or a simulated project."""

    id: UUID | None
    name: str
    _connection: "AsyncAnalystSession"

    async def run(self, *tasks: Task, resume: UUID | str | None = None) -> RunReport:
        """Run analyses over the sites that confirmed the roster.

        Args:
            tasks: analyses in order; each a specification, a mapping of its members, or a file.
            resume: ID of an interrupted run to continue with its own tasks.

        Raises:
            SpecError: a task is invalid; the message says where.
            NotEnoughParticipantsError: too few sites confirmed the roster, or remained in some step.
            AnalysisError: the data give no answer.
        """
        return await self._connection.carry_out(self, specifications(tasks), None if resume is None else as_id(resume))


class AsyncAnalystSession:
    """An open coordinator; see `connect_async`."""

    def __init__(self, source: Session | Simulation, *, progress: bool) -> None:
        self._source = source
        self._progress = progress
        self._runs: list[RunReport] = []

    async def projects(self) -> list[AsyncProjectHandle]:
        """Return the projects that this identity coordinates."""
        if isinstance(self._source, Simulation):
            return [AsyncProjectHandle(None, "simulation", self)]
        return [AsyncProjectHandle(project, name, self) for project, name in (await led(self._source.relay)).items()]

    async def project(self, name: str | UUID) -> AsyncProjectHandle:
        """Return the project with this name or ID; a simulation accepts any name.

        Raises:
            ParameterError: no project has this name or ID, or several do.
        """
        if isinstance(self._source, Simulation):
            return AsyncProjectHandle(None, str(name), self)
        project = await find(self._source.relay, str(name))
        return AsyncProjectHandle(project, (await led(self._source.relay))[project], self)

    async def runs(self) -> list[RunListing]:
        """Return the list of all runs, newest first."""
        if isinstance(self._source, Simulation):
            return [one.listed for one in reversed(self._runs)]
        return earlier_runs(self._source.journal.connection)

    async def earlier(self, run: UUID | str) -> RunReport:
        """Return an earlier run with its results, without asking any site again.

        Raises:
            ParameterError: there is no such run.
        """
        wanted = as_id(run)
        if isinstance(self._source, Session):
            return await earlier_run(self._source.journal.connection, wanted)
        for one in self._runs:
            if one.id == wanted:
                return one
        raise ParameterError(f"this simulation has no run {wanted}")

    async def carry_out(
        self, project: AsyncProjectHandle, tasks: tuple[TableSpec, ...], resume: UUID | None
    ) -> RunReport:
        """Execute a run's tasks; see `AsyncProjectHandle.run`."""
        with shown.on_screen(visible=self._progress) as show:
            if isinstance(session := self._source, Simulation):
                run, report = await session.carry_out(tasks, show)
                done = RunReport.simulated(run, project.name, tasks, report, session.terms)
                self._runs.append(done)
                return done
            assert project.id is not None  # it is not simulated
            terms = session.records.get(resume).terms if resume else None
            found = await runnable(session.relay, session.identity, project.id, terms=terms)
            run = resume or begin(session, found, Order(tasks=tasks))
            await carry_out(run, found, session, show)
            return await self.earlier(run)


@asynccontextmanager
async def connect_async(
    *,
    simulate: Tables | None = None,
    terms: ProjectTerms | Path | str | None = None,
    lost: Mapping[int, Collection[str]] | None = None,
    progress: bool = True,
    **settings: Any,
) -> AsyncIterator[AsyncAnalystSession]:
    """Open this coordinator for a program with an event loop. Arguments and errors are those of `connect`."""
    if simulate is not None:
        if settings:
            raise ParameterError(f"a simulation takes no settings; remove {', '.join(sorted(settings))}")
        read = terms if isinstance(terms, ProjectTerms | None) else read_terms(Path(terms))
        yield AsyncAnalystSession(Simulation(simulate, read, lost or {}), progress=progress)
        return
    if terms is not None or lost:
        raise ParameterError("terms= and lost= apply only to a simulation; add simulate=, or remove them")
    loaded = CoordinatorConfig.load(**settings)
    loaded.require_relay()
    async with opened(loaded, passphrase(loaded)) as session:
        yield AsyncAnalystSession(session, progress=progress)


class ProjectHandle:
    """A project whose roster is sealed, or a simulated project."""

    def __init__(self, inner: AsyncProjectHandle, loop: Loop) -> None:
        self._inner = inner
        self._loop = loop

    @property
    def id(self) -> UUID | None:
        """ID of the project, or None in a simulation."""
        return self._inner.id

    @property
    def name(self) -> str:
        return self._inner.name

    def run(self, *tasks: Task, resume: UUID | str | None = None) -> RunReport:
        """Run analyses over the sites that confirmed the roster; see `AsyncProjectHandle.run`."""
        return self._loop.wait_for(self._inner.run(*tasks, resume=resume))

    def __repr__(self) -> str:
        return f"<project {self.name!r}>"


class AnalystSession:
    """An open coordinator; see `connect`."""

    def __init__(self, **arguments: Any) -> None:
        self._loop = Loop()
        self._stack = AsyncExitStack()
        try:
            self._inner = self._loop.wait_for(self._stack.enter_async_context(connect_async(**arguments)))
        except BaseException:
            self._loop.close()
            raise

    def projects(self) -> list[ProjectHandle]:
        """Return the projects that this identity coordinates."""
        return [ProjectHandle(one, self._loop) for one in self._loop.wait_for(self._inner.projects())]

    def project(self, name: str | UUID) -> ProjectHandle:
        """Return the project with this name or ID; see `AsyncAnalystSession.project`."""
        return ProjectHandle(self._loop.wait_for(self._inner.project(name)), self._loop)

    def runs(self) -> list[RunListing]:
        """Return the list of all runs, newest first."""
        return self._loop.wait_for(self._inner.runs())

    def earlier(self, run: UUID | str) -> RunReport:
        """Return an earlier run with its results; see `AsyncAnalystSession.earlier`."""
        return self._loop.wait_for(self._inner.earlier(run))

    def close(self) -> None:
        """Close the connection to the relay and the journal."""
        if self._loop.is_open:
            self._loop.wait_for(self._stack.aclose())
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def connect(
    *,
    simulate: Tables | None = None,
    terms: ProjectTerms | Path | str | None = None,
    lost: Mapping[int, Collection[str]] | None = None,
    progress: bool = True,
    **settings: Any,
) -> AnalystSession:
    """Open this coordinator.

    Args:
        simulate: tables by site name, to use instead of hospitals.
        terms: terms of the simulated project that queries must comply with, or a TOML file with them.
        lost: names of the sites to lose in a round of the simulation, by round number.
        progress: whether to show progress in the terminal or notebook.
        settings: settings as on the command line (`relay`, `data`, `passphrase`, `config`, ...); the rest come from the
            environment and the settings file.

    Raises:
        SettingsError, ParameterError: a setting or an argument is wrong.
        KeystoreError: the passphrase does not open the identity.
    """
    return AnalystSession(simulate=simulate, terms=terms, lost=lost, progress=progress, **settings)


def specifications(tasks: Iterable[Task]) -> tuple[TableSpec, ...]:
    """Return the specifications of a run.

    Raises:
        SpecError: there is no task, or one is invalid; the message says where.
    """
    found: list[TableSpec] = []
    for task in tasks:
        if isinstance(task, TableSpec):
            found.append(task)
        elif isinstance(task, Mapping):
            found.append(parse_spec(task))
        else:
            found.extend(read_run_file(Path(task)).tasks)
    if not found:
        raise SpecError("a run needs at least one analysis")
    return tuple(found)


def as_id(text: UUID | str) -> UUID:
    """Parse an ID; raises ParameterError if it is malformed."""
    try:
        return text if isinstance(text, UUID) else UUID(text)
    except ValueError:
        raise ParameterError(f"{text!r} is not an ID; `runs` lists the IDs of all runs") from None
