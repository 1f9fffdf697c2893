"""Sums that the coordinator adds and cannot read: real processes, a site that is lost, a coordinator that is killed."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from participant.statistics import Query, evaluate, layout_of
from tests.support.network import KAPLAN_MEIER, TERMS, Network, StageError, network, table

SITES = {name: table(seed) for seed, name in enumerate(("north", "south", "west", "village"))}
LEFT = ("north", "south", "west")
OLDER = {**KAPLAN_MEIER, "filter": [{"column": "age", "op": ">=", "value": 58}]}
PUBLISHED = TERMS + 'mode = "he"\npublish = true\n'


def plain_sum(query: Query, sites: Iterable[str]) -> np.ndarray:
    return np.sum([evaluate(query, SITES[name]) for name in sites], axis=0)


def answers(net: Network, run: str) -> list[tuple[Query, bytes]]:
    database = sqlite3.connect(net.stage.coordinator_folder / "journal.sqlite")
    rows = database.execute("SELECT query, total FROM answer WHERE run = ?", (run,)).fetchall()
    database.close()
    return [(Query.decode(query), total) for query, total in rows]


def is_anywhere(folder: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_sums_that_only_the_sites_open(tmp_path: Path) -> None:
    async with network(tmp_path / "net", SITES, {"village": "round-1-opened"}) as net:
        published, kept = await net.project(PUBLISHED), await net.project(TERMS + 'mode = "he"\n')

        # One site is lost before it uploads: the others' masks for it go, and what they publish is the plain sum.
        report = await net.run(published)
        first = report["run"]
        assert net.hospital("village").is_killed
        [(query, total)] = answers(net, first)
        expected = plain_sum(query, LEFT)
        assert np.array_equal(np.frombuffer(total), expected)
        assert report["results"][0]["sites"] == sorted(LEFT)
        assert is_anywhere(net.stage.coordinator_folder, expected.tobytes())  # so the search below would find a sum

        # An analysis that goes from sum to sum is refused before anybody is asked.
        cox = {**KAPLAN_MEIER, "analysis": "cox", "covariates": [{"column": "age", "low": 0, "high": 120}]}
        with pytest.raises(StageError, match="the sites of this project keep its sums, and cox"):
            await net.run(kept, [cox])

        # The coordinator is killed, goes on under a new round, and ends without a sum.
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
            results = (await net.site(name, "results"))["results"]
            assert [one["run"] for one in results] == [first, run]
            values = {block: np.array(numbers) for block, numbers in results[1]["values"].items()}
            assert np.array_equal(layout_of(query).flatten(values), expected)
            assert len(results[1]["sites"]) == len(LEFT)
            left = [entry["what"] for entry in (await net.site(name, "ledger"))["entries"]]
            assert left == ["upload", "survivors", "published", *["upload", "survivors"] * 2]
