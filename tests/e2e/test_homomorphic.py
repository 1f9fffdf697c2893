"""Sums that the coordinator adds but cannot read: real processes, one site lost, one coordinator killed."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.pooled import published
from participant.statistics.language.query import Query
from tests.support.network import KAPLAN_MEIER, TERMS, Network, StageError, network, table

SITES = {name: table(seed) for seed, name in enumerate(("north", "south", "west", "village"))}
LEFT = ("north", "south", "west")
OLDER = {**KAPLAN_MEIER, "filter": [{"column": "age", "op": ">=", "value": 58}]}
PUBLISHED = TERMS + 'mode = "he"\npublish = true\n'


def plain_sum(query: Query, sites: Iterable[str]) -> np.ndarray:
    return np.sum([evaluate(bind(query), SITES[name]) for name in sites], axis=0)


def answers(net: Network, run: str) -> list[tuple[Query, bytes]]:
    database = sqlite3.connect(net.stage.coordinator_folder / "journal.sqlite")
    rows = database.execute("SELECT query, total FROM answer WHERE run = ?", (run,)).fetchall()
    database.close()
    return [(Query.decode(query), total) for query, total in rows]


def kept_at(net: Network, name: str) -> dict[str, bytes]:
    database = sqlite3.connect(net.hospital(name).folder / "journal.sqlite")
    rows = database.execute("SELECT run, total FROM result").fetchall()
    database.close()
    return dict(rows)


def is_anywhere(folder: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_sums_that_only_the_sites_open(tmp_path: Path) -> None:
    async with network(tmp_path / "net", SITES, {"village": "round-1-opened"}) as net:
        to_publish, kept = await net.project(PUBLISHED), await net.project(TERMS + 'mode = "he"\n')

        # One site is lost before it uploads: the others' masks for it go, and what they publish is the plain sum.
        report = await net.run(to_publish)
        first = report["run"]
        assert net.hospital("village").is_killed
        [(first_query, total)] = answers(net, first)
        assert first_query.pooled
        expected = published(bind(first_query), plain_sum(first_query, LEFT))  # intervals of few events are merged
        assert np.array_equal(np.frombuffer(total), expected, equal_nan=True)
        assert np.isnan(expected).any()
        assert report["results"][0]["sites"] == sorted(LEFT)
        published_sum = expected.tobytes()
        assert is_anywhere(net.stage.coordinator_folder, published_sum)  # so the search below would find a sum

        # The coordinator is killed, goes on with its open round, and ends without a sum.
        with pytest.raises(StageError) as killed:
            await net.run(kept, [OLDER], SECAGG_CRASH_AT="before-opening")
        run = str(killed.value).split("run ")[-1].split()[0]
        report = await net.run(kept, [OLDER], "--resume", run)
        held = report["results"]
        assert held == [{"analysis": "kaplan-meier", "held_by": sorted(LEFT), "round": held[0]["round"]}]
        [(query, total)] = answers(net, run)
        expected = plain_sum(query, LEFT)
        assert total == b""
        for folder in (net.stage.coordinator_folder, net.stage.relay_folder):
            assert not is_anywhere(folder, expected.tobytes())

        for name in LEFT:
            assert kept_at(net, name) == {first: published_sum, run: expected.tobytes()}
        shown = (await net.site("north", "results"))["results"]
        assert [one["run"] for one in shown] == [first, run]
        values = {block: np.array(numbers) for block, numbers in shown[1]["values"].items()}
        assert np.array_equal(bind(query).layout.flatten(values), expected)
        left = [entry["what"] for entry in (await net.site("north", "ledger"))["entries"]]
        assert left == ["upload", "survivors", "published", "upload", "survivors"]
