"""A site's answer to a query: a vector over rows that equal those of earlier answers or keep their distance."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from participant.data.model.description import Description
from participant.data.store.store import DATA, DatasetStore
from participant.policy.differencing import Earlier, People, RowSet, apart, distance, secret_order
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.evaluate import check_dataset, evaluate, rows_asked, usable
from participant.statistics.language.layout import Array, Arrays
from participant.statistics.language.query import Query


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a query, and the site's record of it.

    Attributes:
        query: the query answered.
        dataset_version: version of the dataset that answered it.
        vector: (d,) float64.
        rows: name of the rows that went into the answer.
        moved: number of persons by which these rows differ from those asked for.
        to_remember: row sets to record: these rows, unless they are below the site's floor, so that nothing about them
                left;
                also earlier answers' rows, as far as this version holds them, that were not yet on record.
    """

    query: Query
    dataset_version: int
    vector: Array = field(repr=False)
    rows: str
    moved: int
    to_remember: tuple[RowSet, ...] = field(repr=False)


def answer(
    bound: BoundQuery, store: DatasetStore, earlier: Sequence[RowSet], key: bytes, version: int | None = None
) -> Answer:
    """Compute the answer to a query that the policy allows.

    Args:
        bound: the query.
        store: the site's datasets.
        earlier: row sets of earlier answers from this dataset.
        key: secret that determines the order in which persons are left out.
        version: version of the dataset; by default the newest.

    Raises:
        ParameterError, DatasetError: the dataset cannot answer, on public grounds alone.
    """
    described, table, carried = _opened(bound, store, earlier, version)
    query, people = bound.query, _people(described, table)
    asked = rows = rows_asked(bound, table)
    if query.minimum_persons > 1:
        known = list(_known(described, (*earlier, *carried)).values())
        order = secret_order(key, query.dataset, described.version, described.rows)
        rows = apart(asked, usable(bound, table), known, query.minimum_persons, people, order)
    kept = RowSet.of(described.version, rows)
    least = 1 if query.pooled else query.minimum_persons  # with pooled floors, rows below the floor are in the sum
    return Answer(
        query=query,
        dataset_version=described.version,
        vector=evaluate(bound, table, rows),
        rows=kept.origin,
        moved=people.count(rows ^ asked),
        to_remember=carried if people.count(rows) < least else (*carried, kept),
    )


def distances(bound: BoundQuery, store: DatasetStore, earlier: Sequence[RowSet]) -> dict[str, int]:
    """Return the distance, in persons, of the requested rows from those of each earlier answer, by its name.

    Raises the same errors as `answer`.
    """
    described, table, carried = _opened(bound, store, earlier)
    asked, people = rows_asked(bound, table), _people(described, table)
    return {name: distance(asked, one, people) for name, one in _known(described, (*earlier, *carried)).items()}


def _opened(
    bound: BoundQuery, store: DatasetStore, earlier: Sequence[RowSet], version: int | None = None
) -> tuple[Description, Arrays, tuple[RowSet, ...]]:
    query, described = bound.query, store.describe(bound.query.dataset, version)
    check_dataset(bound, described.numeric, described.rows)
    table = store.load(query.dataset, _needs(query, described), described.version)
    return described, table, carry(store, described, earlier)


def carry(store: DatasetStore, described: Description, earlier: Sequence[RowSet]) -> tuple[RowSet, ...]:
    """Return other versions' row sets, limited to rows that this version holds, without those already carried over.

    Versions whose data were dropped cannot be compared.
    """
    if any(one.version == described.version for one in earlier):
        return ()
    there = set(store.versions(described.name))
    found = []
    for version in sorted({one.version for one in earlier} & there):
        old = store.describe(described.name, version)
        rows = _match(store, old, described)
        # Versions can name their person identifiers differently; each row then counts as a person.
        for one in (one for one in earlier if one.version == version):
            before = one.rows(old.rows)
            now = np.zeros(described.rows, np.bool_)
            now[rows >= 0] = before[rows[rows >= 0]]
            gone = one.gone + int(np.count_nonzero(before)) - int(np.count_nonzero(now))
            found.append(one.carried(described.version, now, gone))
    return tuple(found)


def _match(store: DatasetStore, old: Description, new: Description) -> NDArray[np.int64]:
    people = {old.person, new.person}
    columns = sorted(({one.name for one in old.columns} & {one.name for one in new.columns}) - people)
    before, now = (store.folder(one.name, one.version) / DATA for one in (old, new))
    from participant.data.store.matching import matched  # noqa: PLC0415  # brings polars, which explaining does without

    return matched(before, now, columns)


def _known(described: Description, row_sets: Sequence[RowSet]) -> dict[str, Earlier]:
    of_version = (one for one in row_sets if one.version == described.version)
    return {one.origin: Earlier(one.rows(described.rows), one.gone) for one in of_version}


def _needs(query: Query, described: Description) -> tuple[str, ...]:
    return query.needs if described.person is None else tuple(sorted({*query.needs, described.person}))


def _people(described: Description, table: Arrays) -> People:
    return People(None if described.person is None else table[described.person])
