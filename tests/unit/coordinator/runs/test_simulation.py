"""Simulated runs: the effect of a real run's quantisation, floors, terms and thresholds on the same tables."""

import asyncio
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.demo.lung import lung_by_institution
from coordinator.runs.simulation import Simulation, fixed_point_sum, numbers_of, read_folder
from coordinator.session.progress import Event, nowhere
from participant.analyses.base.errors import SpecError
from participant.analyses.catalogue import parse_spec
from participant.study.terms import ProjectTerms, TermsError
from secagg.errors import NotEnoughParticipantsError, ParameterError
from secagg.params import Segment
from secagg.simulate import simulate
from tests.support.network import KAPLAN_MEIER, table
from tests.support.plans import LOGISTIC, planned

SITES = {name: table(seed) for seed, name in enumerate(("north", "south", "west", "east"))}
TASK = (parse_spec(KAPLAN_MEIER),)


def carried_out(simulation: Simulation, *tasks: dict, show=nowhere):
    specs = tuple(parse_spec(task) for task in tasks) or TASK
    return asyncio.run(simulation.carry_out(specs, show))[1]


@settings(max_examples=12)
@given(
    vectors=st.lists(
        st.lists(st.integers(-1000, 1000).map(lambda n: n / 7), min_size=3, max_size=3), min_size=3, max_size=5
    )
)
def test_the_sum_is_the_protocol_s_bit_for_bit(vectors: list[list[float]]) -> None:
    clip, bits = 256.0, 20
    levels = (1 << (bits - 1)) - 1
    total = fixed_point_sum(list(np.array(vectors)), (Segment(count=3, clip=clip, step=clip / levels),))
    np.testing.assert_array_equal(total, simulate(vectors, clip=clip, value_bits=bits).total)


def test_a_small_site_is_hidden_inside_the_sum_as_in_a_real_run() -> None:
    whole = {name: {"time": np.repeat([1.0, 9.0], 10), "status": np.ones(20)} for name in SITES}
    few = {name: column[:3] for name, column in whole["east"].items()}
    floored = {**KAPLAN_MEIER, "minimum_persons": 5}
    (result,) = carried_out(Simulation({**whole, "east": few}), floored).results
    assert result.sites == ("east", "north", "south", "west")
    assert result.rows == 60


def test_who_cannot_answer_declines_and_says_why() -> None:
    said: list[Event] = []
    report = carried_out(Simulation({**SITES, "east": {"time": SITES["east"]["time"]}}), show=said.append)
    assert report.results[0].sites == ("north", "south", "west")
    (lost,) = (event for event in said if event.what == "lost")
    assert (lost.site, lost.detail) == (
        "east",
        "declined: dataset lung has no numbers in these columns, or lacks them: status",
    )


def test_below_the_threshold_nothing_is_learnt() -> None:
    with pytest.raises(
        NotEnoughParticipantsError, match="2 sites uploaded, 3 are needed; west was lost; east was lost"
    ):
        carried_out(Simulation(SITES, lost={1: ["west", "east"]}))


def test_a_site_that_is_lost_stays_away_until_the_run_s_end() -> None:
    report = carried_out(Simulation(SITES, lost={2: {"west"}}), *[KAPLAN_MEIER] * 3)
    assert [len(result.sites) for result in report.results] == [4, 3, 3]
    assert [answer.round for _, answer in report.answers] == [1, 2, 3]


def test_terms_hold_in_a_simulation_too() -> None:
    terms = ProjectTerms(purpose="p", dataset="lung", columns=("time",), statistics=("event-counts",))
    with pytest.raises(TermsError, match="do not include the columns status"):
        carried_out(Simulation(SITES, terms))


@pytest.mark.parametrize(
    ("simulation", "complaint"),
    [
        (lambda: Simulation({"a": {}, "b": {}}), "at least 3 sites"),
        (lambda: Simulation({1: {}, "1": {}, 2: {}}), "distinct names"),
        (lambda: Simulation(SITES, lost={1: ["nowhere"]}), "do not exist: nowhere"),
    ],
)
def test_a_simulation_that_cannot_be_is_refused(simulation, complaint: str) -> None:
    with pytest.raises(ParameterError, match=complaint):
        simulation()


def test_tables_of_any_kind() -> None:
    plain = {"age": [60, None, 71], "sex": [1, 2, 1], "name": ["a", "b", "c"]}
    frames = [
        plain,
        pd.DataFrame(plain),
        pd.DataFrame(plain).convert_dtypes(),
        pl.DataFrame(plain),
    ]
    for frame in frames:
        columns = numbers_of(frame)
        assert set(columns) == {"age", "sex"}
        np.testing.assert_array_equal(columns["age"], [60, np.nan, 71])
        assert {column.dtype for column in columns.values()} == {np.dtype(np.float64)}


def test_a_folder_holds_a_table_for_each_site(tmp_path: Path) -> None:
    for name, columns in SITES.items():
        pl.DataFrame(columns).write_csv(tmp_path / f"{name}.csv")
    pl.DataFrame(SITES["east"]).write_parquet(tmp_path / "far.parquet")
    (tmp_path / "notes.txt").write_text("not a table")
    found = read_folder(tmp_path)
    assert list(found) == ["east", "far", "north", "south", "west"]
    np.testing.assert_array_equal(found["far"]["time"], SITES["east"]["time"])
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(ParameterError, match=r"bad\.parquet cannot be read"):
        read_folder(tmp_path)
    with pytest.raises(ParameterError, match="contains no file NAME"):
        read_folder(tmp_path / "elsewhere")


def test_a_simulation_reads_a_table_as_an_import_does(tmp_path: Path) -> None:
    """Semicolons, a decimal comma after a hundred whole numbers, one NA, and a missing date."""
    rows = "".join(f"{n};{n};2020-01-{1 + n % 28:02d};5\n" for n in range(1, 101))
    (tmp_path / "a.csv").write_text("id;x;day;crea\n" + rows + "101;0,5;;NA\n")
    (found,) = read_folder(tmp_path).values()
    assert set(found) == {"id", "x", "crea"}
    assert found["x"][-2:].tolist() == [100, 0.5]
    assert np.isnan(found["crea"][-1])
    frame = pd.DataFrame({"x": ["1,5", "2,5"], "day": pd.to_datetime(["2020-01-31", None]), "NA": [1.0, None]})
    columns = numbers_of(frame)
    assert set(columns) == {"x", "NA"}
    assert columns["x"].tolist() == [1.5, 2.5]
    (tmp_path / "a.toml").write_text('missing = ["100"]\n')
    assert np.isnan(read_folder(tmp_path)["a"]["x"][-2])
    (tmp_path / "b.csv").write_text("a;b\n1;2\n3\n")
    with pytest.raises(ParameterError, match=r"b\.csv cannot be read: 1 of 2 rows are bad, first on line 3"):
        read_folder(tmp_path)


async def test_a_simulation_holds_its_tasks_against_the_plan() -> None:
    """What simulation answers, sites answer: another analysis than the plan's is refused here as well."""
    terms = planned(LOGISTIC, minimum_persons=1)
    [(_, task)] = terms.plan.specs("lung")
    simulation = Simulation(lung_by_institution(), terms)
    _, done = await simulation.carry_out((task,), nowhere)
    assert done.results[0].analysis == "glm"
    with pytest.raises(SpecError, match="no task of the project's plan"):
        await simulation.carry_out((task.model_copy(update={"family": "poisson"}),), nowhere)
