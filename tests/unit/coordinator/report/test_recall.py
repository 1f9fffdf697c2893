"""Earlier runs: stored sums give the same results again, but only for the run's own tasks."""

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from coordinator.journal.records import RunRecord, RunRecords
from coordinator.journal.schema import TABLES
from coordinator.journal.tables import ReleasedSum, RunTables
from coordinator.report.recall import recall
from coordinator.runs.lifecycle import HeldBySites
from participant.analyses.catalogue import parse_spec
from relay.api.states import RunState
from relay.party.journal import Journal
from secagg.errors import ParameterError
from tests.support.network import KAPLAN_MEIER, table
from tests.support.plain_sum import PlainSum

RUN = UUID(int=7)
COX = {**KAPLAN_MEIER, "analysis": "cox", "covariates": [{"column": "age", "low": 0, "high": 120}]}
SITES = {name: table(seed) for seed, name in enumerate(("north", "south", "west"))}


@pytest.fixture
def tables(tmp_path: Path):
    journal = Journal(tmp_path / "party", TABLES)
    yield RunTables(journal.connection, RUN)
    journal.close()


def recorded(*tasks: dict) -> RunRecord:
    return RunRecord(
        run=RUN,
        project=UUID(int=1),
        name="a project",
        terms=b"terms",
        tasks=tasks,
        sites=(bytes(32),),
        value_bits=53,
        began=1000.0,
        deadline=2000.0,
    )


class Kept(PlainSum):
    """A plain sum whose answers are entered into the journal."""

    def __init__(self, tables: RunTables) -> None:
        super().__init__(SITES, quantised=True)
        self.value_bits = 53
        self._journal = tables

    async def __call__(self, query):
        answer = await super().__call__(query)
        total = query.layout.flatten(answer.values)
        self._journal.enter(
            len(self.queries) - 1, query.encode(), ReleasedSum(len(self.queries), 60, answer.sites, np.asarray(total))
        )
        return answer


async def results(tables: RunTables, *tasks: dict) -> list:
    secure_sum = Kept(tables)
    return [await parse_spec(task).analyse(secure_sum) for task in tasks]


async def test_results_come_back_to_the_last_bit(tables: RunTables) -> None:
    first = await results(tables, COX, KAPLAN_MEIER)
    records = RunRecords(tables.connection)
    records.add(recorded(COX, KAPLAN_MEIER))
    (record,) = records.all()
    assert record == recorded(COX, KAPLAN_MEIER)
    report = await recall(record, tables)
    assert [one.table() for one in report.results] == [one.table() for one in first]
    assert [one.sites for one in report.results] == [one.sites for one in first]


async def test_a_run_that_ended_early_gives_what_it_had(tables: RunTables) -> None:
    await results(tables, KAPLAN_MEIER)
    report = await recall(recorded(KAPLAN_MEIER, COX), tables)
    assert [one.analysis for one in report.results] == ["kaplan-meier"]
    assert len(report.answers) == 1


async def test_answers_to_other_queries_are_no_result(tables: RunTables) -> None:
    await results(tables, KAPLAN_MEIER)
    assert (await recall(recorded({**KAPLAN_MEIER, "row_limit": 999}), tables)).results == ()


async def test_what_the_sites_hold_is_said_to_be_theirs(tables: RunTables) -> None:
    spec = parse_spec(KAPLAN_MEIER)
    asked = Kept(tables)
    await spec.analyse(asked)
    tables.connection.execute("UPDATE answer SET total = x''")
    assert (await recall(recorded(KAPLAN_MEIER), tables)).results == (
        HeldBySites("kaplan-meier", 1, tuple(sorted(SITES))),
    )


def test_a_run_s_end_is_noted_and_final(tables: RunTables) -> None:
    records = RunRecords(tables.connection)
    records.add(recorded(KAPLAN_MEIER))
    records.move(RUN, RunState.FAILED, "too\nfew \0 sites " * 100)
    records.move(RUN, RunState.RUNNING)
    record = records.get(RUN)
    assert (record.state, record.is_over, record.told) == (RunState.FAILED, True, False)
    assert record.reason == ("too few sites " * 100)[:200].strip()  # as the relay takes it
    assert record.ended is not None
    records.tell(RUN)
    assert records.get(RUN).told


def test_a_run_that_nobody_entered_is_refused(tables: RunTables) -> None:
    with pytest.raises(ParameterError, match="has no run"):
        RunRecords(tables.connection).get(RUN)
