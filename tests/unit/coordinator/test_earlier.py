"""Earlier runs: what was learnt gives the same results again, and no other run's tasks."""

import tomllib
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import numpy as np
import pytest

from coordinator.analyses import parse_spec
from coordinator.earlier import recall
from coordinator.journal import TABLES, Answer, RunRecord, RunTables, run_records
from coordinator.runs import Held, carry_out
from participant.statistics import layout_of
from participant.statistics.terms import ProjectTerms
from relay.client.journal import Journal
from secagg.errors import ParameterError
from secagg.identity import Identity, Roster
from tests.support.network import KAPLAN_MEIER, TERMS, table
from tests.support.plain_sum import PlainSum

RUN = UUID(int=7)
COX = {**KAPLAN_MEIER, "analysis": "cox", "covariates": [{"column": "age", "low": 0, "high": 120}]}
TERMS_AS_READ = ProjectTerms.model_validate(tomllib.loads(TERMS), strict=False)
SITES = {name: table(seed) for seed, name in enumerate(("north", "south", "west"))}


@pytest.fixture
def tables(tmp_path: Path):
    journal = Journal(tmp_path / "party", TABLES)
    yield RunTables(journal.connection, RUN)
    journal.close()


def recorded(*tasks: dict) -> RunRecord:
    return RunRecord(RUN, UUID(int=1), "a project", b"terms", tasks, 53, 1000.0)


class Kept(PlainSum):
    """A plain sum whose answers are entered into the journal."""

    def __init__(self, tables: RunTables) -> None:
        super().__init__(SITES, quantised=True)
        self.value_bits = 53
        self._journal = tables

    async def __call__(self, query):
        answer = await super().__call__(query)
        total = layout_of(query).flatten(answer.values)
        self._journal.enter(
            len(self.queries) - 1, query.encode(), Answer(len(self.queries), 60, answer.sites, np.asarray(total))
        )
        return answer


async def results(tables: RunTables, *tasks: dict) -> list:
    secure_sum = Kept(tables)
    return [await parse_spec(task).analyse(secure_sum) for task in tasks]


async def test_results_come_back_to_the_last_bit(tables: RunTables) -> None:
    first = await results(tables, COX, KAPLAN_MEIER)
    tables.begin(recorded(COX, KAPLAN_MEIER))
    (record,) = run_records(tables.connection)
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
    assert (await recall(recorded(KAPLAN_MEIER), tables)).results == (Held("kaplan-meier", 1, tuple(sorted(SITES))),)


def test_a_run_s_first_record_stays_and_its_end_is_noted(tables: RunTables) -> None:
    first = tables.begin(recorded(KAPLAN_MEIER))
    assert tables.begin(recorded(COX)) == first == recorded(KAPLAN_MEIER)
    tables.end("failed", 1001.0, "too few sites")
    (record,) = run_records(tables.connection)
    assert (record.outcome, record.ended, record.detail) == ("failed", 1001.0, "too few sites")


async def test_a_run_goes_on_with_its_own_tasks_alone(tmp_path: Path) -> None:
    head = Identity(bytes(32))
    keys = tuple(bytes([n]) * 32 for n in (1, 2, 3))
    terms = TERMS_AS_READ.encode()
    project = SimpleNamespace(id=UUID(int=1), name="a project", terms=terms)
    sealed = SimpleNamespace(
        project=project,
        terms=TERMS_AS_READ,
        confirmed=keys,
        roster=Roster.of(bytes(16), terms, head.public, keys),
    )
    journal = Journal(tmp_path / "party", TABLES)
    RunTables(journal.connection, RUN).begin(recorded(COX))
    with pytest.raises(ParameterError, match="begun with other tasks"):
        await carry_out((parse_spec(KAPLAN_MEIER),), RUN, sealed, None, head, journal, None, None)  # type: ignore[arg-type]
    journal.close()
