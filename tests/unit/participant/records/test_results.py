"""The sums that a site stores, with the queries that they answer."""

from pathlib import Path
from uuid import UUID

import numpy as np

from participant.records.ledger import TABLES, Ledger
from participant.records.results import as_facts, as_words, kept
from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.registry import COUNTS
from participant.statistics.vocabulary.counts import CountsParams
from relay.party.journal import Journal

PROJECT, RUN = UUID(int=1), UUID(int=2)


def test_a_sum_comes_with_its_query_and_its_sites(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "party", TABLES)
    ledger = Ledger(journal.connection)
    query = COUNTS.query(CountsParams(columns=("age",), row_limit=100), dataset="lung", value_bits=40)
    total = np.arange(float(bind(query).layout.length))
    place = {"project": str(PROJECT), "run": str(RUN), "round": 2}
    with journal.transaction():
        ledger.enter({"what": "catalogue", "project": str(PROJECT)})
        ledger.enter({"what": "upload", **place, "round": 1, "query": query.model_dump(mode="json")})  # never summed
        ledger.enter({"what": "upload", **place, "query": query.model_dump(mode="json")})
        ledger.enter({"what": "survivors", **place, "sites": ["a", "b", "c"]})
        ledger.keep_result(RUN, 2, (1, 2, 3), total.tobytes(), b"r" * 32)
    [found] = kept(ledger)
    assert (found.project, found.run, found.round, found.query, found.sites) == (
        PROJECT,
        RUN,
        2,
        query,
        ("a", "b", "c"),
    )
    assert np.array_equal(bind(query).layout.flatten(found.values), total)
    assert as_facts(found)["values"] == {name: block.tolist() for name, block in found.values.items()}
    assert "counts over 3 sites: round 2" in as_words(found)
