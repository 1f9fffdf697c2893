"""Whole runs over real processes: parties that may not take part do not, and killed ones lose and repeat nothing."""

import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster

from coordinator.demo.pooled import pooled, pooled_kaplan_meier
from participant.analyses.catalogue import parse_spec
from participant.analyses.survival.kaplan_meier import KaplanMeierSpec
from tests.support.network import KAPLAN_MEIER, TERMS, Network, StageError, network, table

SITES = {name: table(seed) for seed, name in enumerate(("north", "south", "west"))}
SPEC = parse_spec(KAPLAN_MEIER)


def assert_pooled(report: dict, sites: list[str]) -> None:
    """The curve is the pooled one over the sites that are in it."""
    result = report["results"][-1]
    assert result["sites"] == sorted(sites)
    assert isinstance(SPEC, KaplanMeierSpec)
    oracle = pooled_kaplan_meier(pooled(SITES[name] for name in sites), SPEC)
    times, survival = np.array(result["times"]), np.array(result["survival"])
    for time, expected in zip(oracle.times, oracle.survival, strict=True):
        assert survival[np.searchsorted(times, time)] == pytest.approx(expected, abs=1e-12)


def assert_no_second_frame(net: Network) -> None:
    """Nobody ever sent two different frames for one slot: the relay would have kept both hashes in its audit log."""
    database = sqlite3.connect(net.stage.relay_folder / "relay.sqlite")
    actions = [action for (action,) in database.execute("SELECT action FROM audit")]
    database.close()
    assert "run.created" in actions, actions
    assert "slot.second-frame" not in actions
    assert "slot-taken" not in net.log("relay")


async def test_unfit_sites_stay_invited_and_the_project_goes_on(tmp_path: Path) -> None:
    tables = {**SITES, "village": table(7, rows=9), "other": {"time": SITES["north"]["time"]}}
    async with network(tmp_path / "net", tables) as net:
        project, members = await net.invited(unfit=("village", "other"))
        for name, lacks in {
            "village": "fewer rows than this site's floor of 10",
            "other": "lacks these numeric columns: age, status",
        }.items():
            assert (members[name]["state"], members[name]["reason"]) == ("invited", "")  # nobody else learns why
            assert lacks in net.log(name)

        sealed = await net.coordinator("project", "seal", project)
        assert sealed["sites"] == sorted(SITES, key=sealed["sites"].index)
        assert set(sealed["sites"]) == set(SITES)

        # Words that are mistyped, and those of another roster, change nothing.
        words = sealed["words"]
        with pytest.raises(StageError, match="11 words were typed"):
            await net.site("north", "project", "accept", project, "--words", words.rsplit(" ", 1)[0])
        with pytest.raises(StageError, match="do not match this roster"):
            await net.site("north", "project", "accept", project, "--words", "abandon " * 11 + "about")
        shown = await net.coordinator("project", "show", project)
        assert {m["state"] for m in shown["members"] if m["name"] in SITES} == {"joined"}

        # Too few sites have confirmed: nothing starts.
        await net.site("north", "project", "accept", project, "--words", words)
        with pytest.raises(StageError, match="1 sites confirmed the roster, 3 are needed"):
            await net.run(project)

        for name in ("south", "west"):
            await net.site(name, "project", "accept", project, "--words", words)
        assert_pooled(await net.run(project), list(SITES))

        # The ledger of a site holds what left it, and nobody's values.
        ledger = await net.site("north", "ledger")
        assert [entry["what"] for entry in ledger["entries"]] == ["upload", "survivors"]
        assert ledger["entries"][0]["query"]["statistic"] == "event-counts"


async def test_an_unknown_token_and_a_used_one_enrol_nobody(tmp_path: Path) -> None:
    async with network(tmp_path / "net", {"north": SITES["north"]}) as net:
        used = net.stage.secrets_in_words[1]
        for token in ("secagg-join-" + "A" * 43, used):
            other = {"SECAGG_PARTICIPANT_DATA": str(tmp_path / "stranger")}
            environment = {**net.stage.environment_of(net.hospital("north")), **other}
            from coordinator.demo.stage import command

            with pytest.raises(StageError, match="bad-token"):
                await command(["participant", "enroll", "--token", token, "--name", "x", "--json"], environment)


@pytest.mark.parametrize(
    "points",
    [
        ("journal-before-commit:4", "journal-after-commit:4", "outbox-sent:4"),
        ("round-1-opened", "round-1-uploaded", "round-1-confirmed"),
    ],
    ids=["setup", "round"],
)
async def test_sites_killed_at_labelled_points_come_back_and_the_sum_is_whole(
    tmp_path: Path, points: tuple[str, ...]
) -> None:
    crashes = dict(zip(SITES, points, strict=True))
    async with network(tmp_path / "net", SITES, crashes) as net:
        for name in SITES:
            net.nurse(name)
        killed = [net.hospital(name).process for name in SITES]
        project = await net.project()
        assert_pooled(await net.run(project), list(SITES))
        assert [process.returncode for process in killed] == [-signal.SIGKILL] * 3
        assert_no_second_frame(net)


@pytest.mark.parametrize(
    "point", ["before-unmask", "journal-after-commit:9", "journal-before-commit:20", "outbox-sent:12"]
)
async def test_a_killed_coordinator_goes_on_where_it_was(tmp_path: Path, point: str) -> None:
    async with network(tmp_path / "net", SITES) as net:
        project = await net.project()
        with pytest.raises(StageError):
            await net.run(project, [KAPLAN_MEIER, KAPLAN_MEIER], SECAGG_CRASH_AT=point)
        run = _run_of(net)
        report = await net.run(project, [KAPLAN_MEIER, KAPLAN_MEIER], "--resume", run)
        assert report["run"] == run
        assert_pooled(report, list(SITES))
        assert len(report["rounds"]) == 2
        assert_no_second_frame(net)


async def test_drop_outs_recovered_by_a_cluster_or_without_it_when_it_fails(tmp_path: Path) -> None:
    local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "processes": False, "asynchronous": True}
    async with network(tmp_path / "net", SITES) as net:
        project = await net.project()
        async with LocalCluster(n_workers=2, threads_per_worker=1, protocol="tcp", **local) as cluster:
            report = await net.run(project, SECAGG_COORDINATOR_SCHEDULER=cluster.scheduler_address)
            assert any(task.startswith("removed-") for task, *_ in cluster.scheduler.transition_log)
        assert_pooled(report, list(SITES))
        gone = {"SECAGG_COORDINATOR_SCHEDULER": "tcp://127.0.0.1:9"}
        assert_pooled(await net.run(project, DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="500ms", **gone), list(SITES))


def _run_of(net: Network) -> str:
    database = sqlite3.connect(net.stage.coordinator_folder / "journal.sqlite")
    try:
        return database.execute("SELECT run FROM epoch").fetchone()[0]
    finally:
        database.close()


async def test_a_query_beyond_the_policy_is_declined_by_name(tmp_path: Path) -> None:
    async with network(tmp_path / "net", SITES) as net:
        (net.stage.folder / "policy.toml").write_text('loss_rule = "continue"\nwithout_plan = "answer"\n')
        cox = {**KAPLAN_MEIER, "analysis": "cox", "covariates": [{"column": "age", "low": 0, "high": 120}]}
        terms = TERMS.replace('"event-counts"', '"cox-risk-sets", "event-counts"')
        for name in SITES:  # the daemons read their policy at their start
            net.nurse(name)
            net.hospital(name).process.terminate()
        project = await net.project(terms)
        with pytest.raises(StageError, match=r"0 sites uploaded.*declined: minimum_persons: the policy requires"):
            await net.run(project, [cox], SECAGG_COORDINATOR_STEP_S="20")
        assert "the policy requires each site's numbers to stand for at least 5 persons" in net.log("north")
