"""A study over four hospitals that answer as their daemons do: policy, plan, replay, ledger and real rows.

Only the protocol is left out: what `Study` returns is the sum that a coordinator learns. `Bare` is the same without any
rule, for the gain *before*.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import polars as pl

from participant.analyses.base.errors import AnalysisError
from participant.analyses.base.secure_sum import SecureSum, Sum, value_bits_for
from participant.daemon.epoch import RunContext
from participant.daemon.plan_control import PlanControl
from participant.data.store.store import DatasetStore
from participant.policy.answer import answer
from participant.policy.differencing import AnsweredRows
from participant.policy.rules import AskedQuery, Offer, Policy, RefusedError, UnfitDatasetError
from participant.records.ledger import TABLES, Ledger
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from tests.support.plain_sum import PlainSum
from tests.support.tables import import_csv

PROJECT = UUID(int=1)
ENOUGH = 2  # answers of a task that attacks look at: the outcome's, and the first of the model
Asked = list[tuple[BoundQuery, Sum]]


def tables(seed: int = 1, sites: str = "abcd", rows: int = 60) -> dict[str, dict[str, Array]]:
    """Return ordinary patients of some hospitals; attacks change single ones."""
    draw = np.random.default_rng(seed)  # noqa: TID251 - made-up patients
    return {
        site: {
            "age": draw.integers(40, 76, rows) * 1.0,
            "sex": draw.integers(1, 3, rows) * 1.0,
            "status": draw.integers(0, 2, rows) * 1.0,
            "time": draw.integers(1, 700, rows) * 1.0,
            "cost": np.round(draw.uniform(100, 900, rows)),
        }
        for site in sites
    }


@dataclass
class Hospital:
    """A hospital that agreed to the project."""

    name: str
    folder: Path
    policy: Policy

    def __post_init__(self) -> None:
        self.store = DatasetStore(self.folder / "datasets")
        self.journal = Journal(self.folder / "party", TABLES)
        self.ledger, self.records = Ledger(self.journal.connection), AnsweredRows(self.journal.connection)
        self.plans = PlanControl(self.ledger)

    def imports(self, columns: Columns) -> None:
        """Import the next version of the table."""
        written = self.folder / "table.csv"
        pl.DataFrame(
            {name: [None if np.isnan(v) else v for v in values] for name, values in columns.items()}
        ).write_csv(written)
        import_csv(self.store, "lung", written)

    def joins(self, terms: ProjectTerms) -> bool:
        """Return whether its policy and its data allow the project."""
        self.policy.check_offer(Offer(PROJECT, bytes(32), terms))
        try:
            self.policy.check_dataset(terms, self.store.describe(terms.dataset))
        except UnfitDatasetError:
            self.journal.close()
            return False
        return True

    async def answer(self, bound: BoundQuery, context: RunContext, round_: int) -> Array:
        """Return the vector that leaves, and record it; raises what declines the round."""
        now = time.time()
        task = await self.plans.task(bound, context)
        self.policy.check_query(AskedQuery(bound, context.offer, 0, now, now + 60))
        version = self.plans.version(context)
        earlier = self.records.row_sets(bound.query.dataset)
        made = answer(bound, self.store, earlier, self.records.key(), version)
        with self.journal.transaction():
            self.records.answer(bound.query.dataset, made.to_remember)
            self._enter(
                "upload",
                context,
                round_,
                query=bound.query.model_dump(mode="json"),
                dataset_version=made.dataset_version,
                task=None if task is None else {"names": task.names, "number": task.number},
            )
        return made.vector

    def learns(self, context: RunContext, round_: int, total: Array, sites: Sequence[str]) -> None:
        """Keep a sum, as after its verification."""
        with self.journal.transaction():
            self._enter("survivors", context, round_, sites=list(sites))
            self.ledger.keep_result(context.run, round_, (1, 2, 3), total.astype("<f8").tobytes(), b"")

    def _enter(self, what: str, context: RunContext, round_: int, **facts: Any) -> None:
        named = {"project": str(context.project), "run": str(context.run), "round": round_, "at": time.time()}
        self.ledger.enter({"what": what, **named, **facts})


class EnoughError(Exception):
    """The rest of a task would tell an attack nothing more."""


class Study(SecureSum):
    """A project of some hospitals; as a secure sum, it is its current run."""

    def __init__(self, folder: Path, terms: ProjectTerms, data: Mapping[str, Columns], policy: Policy) -> None:
        self.terms = terms
        self.hospitals = [Hospital(name, folder / name, policy) for name in data]
        for hospital, columns in zip(self.hospitals, data.values(), strict=True):
            hospital.imports(columns)
        self.hospitals = [one for one in self.hospitals if one.joins(terms)]
        self.value_bits = value_bits_for(len(data))
        self.begin()

    def begin(self) -> None:
        """Begin another run."""
        self._context = RunContext(uuid4(), PROJECT, bytes(32), self.terms, len(self.hospitals))
        self._round, self.asked = 0, []

    async def __call__(self, query: BoundQuery) -> Sum:
        sites = [hospital.name for hospital in self.hospitals]
        if self._round == ENOUGH:
            raise EnoughError
        self._round += 1
        vectors = [await hospital.answer(query, self._context, self._round) for hospital in self.hospitals]
        total = np.sum(vectors, 0)
        for hospital in self.hospitals:
            hospital.learns(self._context, self._round, total, sites)
        answer_ = Sum(query.layout.unflatten(total), tuple(sites))
        self.asked.append((query, answer_))
        return answer_

    async def carry_out(self, task: str) -> Asked:
        """Carry out a task in a run of its own; return what was asked and answered."""
        self.begin()
        spec = dict(self.terms.plan.specs(self.terms.dataset))[task]
        with suppress(AnalysisError, EnoughError, RefusedError):  # what was answered is known all the same
            await spec.analyse(self)
        return self.asked

    def imports(self, site: str, columns: Columns) -> None:
        """Have a hospital import its table again."""
        next(one for one in self.hospitals if one.name == site).imports(columns)

    def close(self) -> None:
        for hospital in self.hospitals:
            hospital.journal.close()


class Bare(PlainSum):
    """The same tables behind no rule at all: exact sums of whatever is asked, with no floor."""

    def __init__(self, terms: ProjectTerms, data: Mapping[str, Columns]) -> None:
        super().__init__(data)
        self.terms, self.asked = terms, []

    async def __call__(self, query: BoundQuery) -> Sum:
        if len(self.asked) == ENOUGH:
            raise EnoughError
        exact = bind(query.query.model_copy(update={"minimum_persons": 1}))
        found = await super().__call__(exact)
        lanes = {block.name: np.zeros(block.shape) for block in query.layout.blocks}
        answer_ = Sum({**lanes, **found.values}, found.sites)
        self.asked.append((query, answer_))
        return answer_

    async def carry_out(self, task: str) -> Asked:
        self.asked = []
        spec = dict(self.terms.plan.specs(self.terms.dataset))[task]
        with suppress(AnalysisError, EnoughError):
            await spec.analyse(self)
        return self.asked

    def imports(self, site: str, columns: Columns) -> None:
        self.tables[site] = columns
