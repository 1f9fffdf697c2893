"""`connect`: from a script, from a notebook whose loop is busy, and from a program with a loop of its own."""

import asyncio
import json
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from coordinator import connect, connect_async
from coordinator.report.plots import plot
from participant.analyses.base.errors import SpecError
from participant.analyses.catalogue import parse_spec
from relay.service.settings import SettingsError
from secagg.errors import NotEnoughParticipantsError, ParameterError
from tests.support.network import KAPLAN_MEIER, table

SITES = {name: table(seed) for seed, name in enumerate(("north", "south", "west"))}


def test_a_script() -> None:
    with connect(simulate=SITES, progress=False) as session:
        project = session.project("Lung survival")
        run = project.run(KAPLAN_MEIER)
        assert run.result.sites == ("north", "south", "west")
        assert run.outcome == "simulated"
        (line,) = session.runs()
        assert (line.id, line.project, line.analyses) == (run.id, "Lung survival", ("kaplan-meier",))
        assert session.earlier(str(run.id)) is run
        with pytest.raises(ParameterError, match="no run"):
            session.earlier(str(run.id)[::-1].replace("-", "0")[:32])
        with pytest.raises(ParameterError, match="is not an ID"):
            session.earlier("the last one")


async def test_where_a_loop_is_running_already() -> None:
    """As in a notebook's cell."""
    with connect(simulate=SITES, progress=False) as session:
        assert session.project("p").run(KAPLAN_MEIER).result.rows == 60


async def test_a_program_with_a_loop() -> None:
    async with connect_async(simulate=SITES, progress=False) as session:
        project = await session.project("p")
        runs = await asyncio.gather(project.run(KAPLAN_MEIER), project.run(KAPLAN_MEIER))
        assert runs[0].result.table() == runs[1].result.table()
        assert [line.id for line in await session.runs()] == [run.id for run in reversed(runs)]


def test_tasks_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    path.write_text(json.dumps(KAPLAN_MEIER))
    with connect(simulate=SITES, progress=False) as session:
        run = session.project("p").run(KAPLAN_MEIER, parse_spec(KAPLAN_MEIER), path, str(path))
        assert len({json.dumps(result.table()) for result in run.results}) == 1
        assert len(run.results) == 4
        with pytest.raises(ParameterError, match="4 results of 4 tasks"):
            run.result  # noqa: B018
        with pytest.raises(SpecError, match="at least one analysis"):
            session.project("p").run()


def test_an_error_of_the_run_comes_through() -> None:
    with (
        connect(simulate=SITES, lost={1: ["west"]}, progress=False) as session,
        pytest.raises(NotEnoughParticipantsError, match="west was lost"),
    ):
        session.project("p").run(KAPLAN_MEIER)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ParameterError, match="takes no settings; remove relay"):
        connect(simulate=SITES, relay="https://relay.example.org")
    with pytest.raises(ParameterError, match="only to a simulation"):
        connect(lost={1: ["west"]})
    with pytest.raises(SettingsError, match="colour is unknown"):
        connect(colour="blue")


def test_close_twice_and_what_a_cell_shows() -> None:
    session = connect(simulate=SITES, progress=False)
    shell = InteractiveShell.instance()
    try:
        shell.user_ns["session"] = session
        result = shell.run_cell(f"run = session.project('p').run({KAPLAN_MEIER!r}); run.result")
        shown, _ = shell.display_formatter.format(result.result)
        assert "Kaplan-Meier curve" in shown["text/html"]
        figure, _ = shell.display_formatter.format(plot(shell.user_ns["run"].result))
        assert "image/png" in figure
    finally:
        InteractiveShell.clear_instance()
    session.close()
    session.close()
