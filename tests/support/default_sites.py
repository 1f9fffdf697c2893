"""The sites of a data set as real ones: imported, asked under the default policy, floors over all of them."""

import csv
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID

import numpy as np

from coordinator.runs.simulation import fixed_point_sum
from participant.analyses.base.secure_sum import Sum, value_bits_for
from participant.analyses.base.spec import SurvivalSpec, TableSpec
from participant.data.store.store import DatasetStore
from participant.policy.answer import answer
from participant.policy.differencing import RowSet
from participant.policy.rules import AskedQuery, Offer, Policy
from participant.statistics.evaluation.bound import BoundQuery, with_floors
from participant.statistics.evaluation.pooled import published, read
from participant.statistics.language.query import Query
from participant.statistics.language.statistic import Columns
from participant.statistics.vocabulary.event_counts import CENSORED_ENDS, EVENT_ENDS
from participant.study.asks import columns_of, statistics_of
from participant.study.plan import NamedSpec
from participant.study.replay import RunReplay
from participant.study.terms import ProjectTerms
from tests.oracles.case import Sites
from tests.support.tables import import_csv

NOW = 1.0e9
PROJECT = UUID(int=7)


class DefaultSites(Sites):
    """Sites that answer by `answer()` under the default policy if the question follows; the sites together hide.

    Attributes:
        values: the published sums, as an analysis reads them.
    """

    def __init__(self, spec: TableSpec, tables: Mapping[str, Columns], *, policy: Policy | None = None) -> None:
        self.tables = dict(tables)
        self.values: list[Mapping[str, np.ndarray]] = []
        self.queries: list[Query] = []
        self._spec = spec
        self._policy = policy or Policy()
        self._terms = terms_of(spec)
        self._policy.check_offer(Offer(PROJECT, bytes(32), self._terms))
        self._stores = {name: _store(spec.dataset, name, _frozen(table)) for name, table in tables.items()}
        self._earlier: dict[str, tuple[RowSet, ...]] = dict.fromkeys(tables, ())
        self.value_bits = value_bits_for(len(tables), self._terms.ring_bits)
        self._replay = RunReplay((NamedSpec("task", spec),), {self.value_bits}, pooled=True)

    async def __call__(self, query: BoundQuery) -> Sum:
        bound = BoundQuery.decode(with_floors(query, pooled=True).encode())
        offer = Offer(PROJECT, bytes(32), self._terms)
        self._policy.check_query(AskedQuery(bound, offer, len(self.values), NOW, NOW + 3600))
        assert self._replay.follows(bound, lambda _name, _number: True)
        made = {name: answer(bound, store, self._earlier[name], b"k" * 32) for name, store in self._stores.items()}
        for name, one in made.items():
            self._earlier[name] += one.to_remember
        total = fixed_point_sum([one.vector for one in made.values()], bound.segments)
        values = read(bound, published(bound, total))
        self.values.append(values)
        self.queries.append(bound.query)
        self._replay.observe(bound, values, tuple(sorted(made)))
        return Sum(values, tuple(sorted(made)))

    def pooled(self) -> Columns:
        """Return all rows of all sites, with times at the ends of the intervals that the sites merged."""
        table = dict(super().pooled())
        ends = [(one[EVENT_ENDS], one[CENSORED_ENDS]) for one in self.values if EVENT_ENDS in one]
        if ends and isinstance(self._spec, SurvivalSpec):
            table[self._spec.time] = merged_times(self._spec, table, *ends[-1])
        return table


def merged_times(spec: SurvivalSpec, table: Columns, event_ends: np.ndarray, censored_ends: np.ndarray) -> np.ndarray:
    """Return each row's time: the end of its merged interval."""
    time = spec.grid.index(table[spec.time])
    event = (table[spec.event] == 1) & (time <= spec.grid.count)
    for some, where in ((event, event_ends), (~event, censored_ends)):
        later = np.append(np.flatnonzero(where), spec.grid.count + 1)
        time[some] = later[np.searchsorted(later[:-1], time[some])]
    times: np.ndarray = np.where(np.isnan(table[spec.time]), np.nan, time * spec.grid.width)
    return times


def terms_of(spec: TableSpec) -> ProjectTerms:
    return ProjectTerms(
        purpose="Every analysis under the default policy.",
        dataset=spec.dataset,
        columns=tuple(columns_of(spec)),
        statistics=tuple(statistics_of(spec)),
        mode="he",
        publish=True,
        floors="pooled",
    )


def _frozen(table: Columns) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, np.ascontiguousarray(column, np.float64).tobytes()) for name, column in sorted(table.items()))


_folders = count()


@cache
def _store(dataset: str, site: str, table: tuple[tuple[str, bytes], ...]) -> DatasetStore:
    """Import a site's table, once."""
    folder = Path(mkdtemp(prefix="sites-")) / f"{site}-{next(_folders)}"
    folder.mkdir()
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(name for name, _ in table)
        columns = [np.frombuffer(column) for _, column in table]
        writer.writerows(["" if np.isnan(x) else repr(float(x)) for x in row] for row in zip(*columns, strict=True))
    store = DatasetStore(folder / "datasets")
    import_csv(store, dataset, path)
    return store
