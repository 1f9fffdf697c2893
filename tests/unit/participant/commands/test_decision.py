"""The officer's commands, as typed, on a journal that a daemon may have open."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from participant.data.store.store import DatasetStore
from participant.policy.answer import answer
from participant.policy.differencing import AnsweredRows
from participant.policy.rules import SCHEMA
from participant.records.decisions import WHOLE_RUN, Decisions, Waiting, subject_of_query, subject_of_set
from participant.records.ledger import TABLES, Ledger
from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.registry import MOMENTS
from participant.statistics.language.conditions import Comparison
from participant.statistics.language.query import Query
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.moments import MomentsParams
from relay.party.journal import Journal
from secagg.errors import ParameterError
from secagg.identity import Identity, Roster
from tests.support.site_process import Site

RUN, PROJECT = UUID(int=2), UUID(int=1)
DEADLINE = 2_000_000_000


def moments(**changes: Any) -> Query:
    params = MomentsParams(variables=(Variable(column="age", low=0, high=120),), row_limit=100)
    return MOMENTS.query(params, dataset="lung", value_bits=40, minimum_persons=5).model_copy(update=changes)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def journal(site: Site) -> Iterator[Journal]:
    """The daemon's: locked, with a run that was joined and two releases."""
    made = Journal(site.data, TABLES)
    made.lock()
    with made.transaction() as batch:
        ledger = Ledger(batch.connection)
        ledger.join_epoch(RUN, PROJECT, 1)
        for round_ in (1, 2):
            ledger.enter(
                {
                    "what": "upload",
                    "at": 1_700_000_000.0 + round_,
                    "project": str(PROJECT),
                    "run": str(RUN),
                    "round": round_,
                    "query": moments().model_dump(mode="json"),
                    "rows": "ab",
                    "task": {"names": ["curve"], "number": 0} if round_ == 2 else None,
                }
            )
    yield made
    made.close()


def wait(journal: Journal, query: Query | None = None, sites: tuple[bytes, ...] = ()) -> Waiting:
    subject = subject_of_query(query) if query else subject_of_set(sites)
    waiting = Waiting(
        RUN, PROJECT, 3, subject, ("approve_first",), "an officer decides", "", DEADLINE, query, sites, ("model",)
    )
    with journal.transaction() as batch:
        Decisions(batch.connection).wait(waiting)
    return waiting


def test_runs_shows_what_left_and_what_waits(site: Site, journal: Journal) -> None:
    before = site.asked("runs")
    assert before["runs"] == [
        {
            "run": str(RUN),
            "project": str(PROJECT),
            "state": "over",
            "releases": 2,
            "last": 1_700_000_002.0,
            "waits": [],
        }
    ]
    assert wait(journal, moments()) == Decisions(journal.connection).waiting_of(RUN)
    assert site.asked("runs")["runs"][0]["waits"] == ["approve_first"]
    assert "waits: approve_first" in site.told("runs").stdout


@pytest.mark.parametrize("approved", [True, False])
def test_what_waits_is_decided_beside_a_daemon_and_noted(site: Site, journal: Journal, *, approved: bool) -> None:
    command, decisions = "approve" if approved else "deny", Decisions(journal.connection)
    waiting = wait(journal, moments())
    said = site.asked(command, str(RUN))
    assert said["approved"] is approved
    assert "moments over lung" in said["subject"]
    assert decisions.of(RUN, waiting.subject) is approved
    assert decisions.of_query(RUN, moments(value_bits=30)) is approved  # a parameter of a later round
    assert decisions.of_query(RUN, moments(minimum_persons=6)) is None
    entry = Ledger(journal.connection).entries()[-1]
    assert (entry["what"], entry["run"], entry["subject"]) == (
        "approved" if approved else "denied",
        str(RUN),
        waiting.subject.hex(),
    )
    assert entry["by"]


def test_a_set_of_sites_is_approved_as_it_was_shown(site: Site, journal: Journal) -> None:
    sites = tuple(bytes([i]) * 32 for i in range(4))
    wait(journal, sites=sites)
    shown = site.asked("explain", str(RUN))
    assert shown["waits"]["survivors"] == [key.hex() for key in sites]
    assert "sum over 4 sites" in site.asked("approve", str(RUN))["subject"]
    decisions = Decisions(journal.connection)
    assert decisions.of(RUN, subject_of_set(reversed(sites))) is True
    assert decisions.of(RUN, subject_of_set(sites[1:])) is None


def test_a_whole_run_is_decided_in_advance_and_no_set_with_it(site: Site, journal: Journal) -> None:
    with pytest.raises(ParameterError, match="nothing of this run waits"):
        site.told("approve", str(RUN))
    with pytest.raises(ParameterError, match="in no such run"):
        site.told("deny", str(PROJECT), "--whole")
    assert site.asked("approve", str(RUN), "--whole")["subject"] == "all queries of the run"
    decisions = Decisions(journal.connection)
    assert decisions.of_query(RUN, moments(minimum_persons=9)) is True
    assert decisions.of(RUN, subject_of_set(())) is None
    assert subject_of_set(()) != WHOLE_RUN
    wait(journal, moments())
    site.asked("deny", str(RUN))  # the nearer decision holds
    assert decisions.of_query(RUN, moments()) is False
    site.asked("approve", str(RUN), "--whole")  # and a later one about everything takes its place
    assert decisions.of_query(RUN, moments()) is True


def test_pause_and_resume(site: Site, journal: Journal) -> None:
    decisions = Decisions(journal.connection)
    assert site.asked("pause") == {"paused": True}
    assert decisions.is_paused()
    assert site.asked("runs")["paused"] is True
    assert site.asked("resume") == {"paused": False}
    assert not decisions.is_paused()
    assert [entry["what"] for entry in Ledger(journal.connection).entries()[2:]] == ["paused", "resumed"]


def test_explain_says_what_an_answer_costs_and_is_near_to(site: Site, journal: Journal) -> None:
    table = site.folder / "lung.csv"
    table.write_text("age\n" + "".join(f"{40 + i}\n" for i in range(30)))
    site.asked("data", "import", "lung", str(table), "--no-pictures")
    shown = site.asked("explain", str(RUN))
    [question] = shown["questions"]  # asked twice, the same
    assert (question["statistic"], question["columns"]) == ("moments (version 2)", ["age"])
    assert question["floors"] == {"persons": 5, "survivors": 3, "sites": 3}
    assert question["budget"] == {"costs": 1, "used": 0, "releases": 1000, "days": 30}  # the releases are years old
    assert question["earlier"] == {"answers": [], "near": []}
    assert [one["tasks"] for one in shown["questions"]] == [["curve"]]
    words = site.told("explain", str(RUN)).stdout
    assert "This belongs to the plan's task curve." in words
    for part in (
        "Columns: age.",
        "All rows",
        "numbers leave this site, masked",
        "1 of the 1000 releases",
        "nothing to subtract",
    ):
        assert part in words


@pytest.mark.parametrize(
    ("rule", "said"), [("adjust", "uses other rows"), ("refuse", "your policy (near_answers) refuses the question")]
)
def test_explain_says_what_becomes_of_a_question_that_is_near_to_another_run_s(
    site: Site, journal: Journal, rule: str, said: str
) -> None:
    table, policy = site.folder / "lung.csv", site.folder / "policy.toml"
    table.write_text("age\n" + "".join(f"{40 + i}\n" for i in range(30)))
    policy.write_text(f'near_answers = "{rule}"\n')
    site.asked("data", "import", "lung", str(table), "--no-pictures")
    records = AnsweredRows(journal.connection)
    made = answer(bind(moments()), DatasetStore(site.data / "datasets"), (), records.key())
    with journal.transaction() as batch:
        records.answer("lung", made.to_remember)
        facts = {"what": "upload", "at": 0.0, "project": str(PROJECT), "run": str(UUID(int=9)), "rows": made.rows}
        Ledger(batch.connection).enter(facts | {"query": moments().model_dump(mode="json")})
    wait(journal, moments(filter=(Comparison(column="age", op=">", value=40),)))
    site.more = {"SECAGG_PARTICIPANT_POLICY": str(policy)}
    [question] = site.asked("explain", str(RUN))["questions"]
    assert (question["earlier"]["near"], question["near_answers"]) == ([3], rule)
    assert said in site.told("explain", str(RUN)).stdout


def test_the_ledger_lists_everything_with_its_number(site: Site, journal: Journal) -> None:
    site.asked("pause")
    listed = site.asked("ledger")
    assert [entry["what"] for entry in listed["entries"]] == ["upload", "upload", "paused"]
    words = site.told("ledger").stdout.splitlines()
    assert words[0].split()[0] == "1"
    assert f"upload     round 1  run {RUN}" in words[0]
    assert f"upload     task curve  round 2  run {RUN}" in words[1]
    assert "paused" in words[2]


def test_audit_verify_holds_the_chain_against_a_noted_head(site: Site, journal: Journal) -> None:
    first = site.asked("audit", "verify")
    assert (first["entries"], first["unbroken"], first["noted"]) == (2, True, None)
    site.asked("pause")
    assert site.asked("audit", "verify", "--head", first["head"])["noted"] == 2
    journal.connection.execute("DELETE FROM release WHERE number > 1")  # the chain is whole, and shorter
    assert site.asked("audit", "verify")["entries"] == 1
    with pytest.raises(ParameterError, match="it lacks the noted head"):
        site.told("audit", "verify", "--head", first["head"])


def test_audit_verify_names_the_entry_at_which_the_chain_breaks(site: Site, journal: Journal) -> None:
    journal.connection.execute("UPDATE release SET entry = x'7b7d' WHERE number = 2")
    broken = site.told("audit", "verify", "--json")
    assert broken.exit_code == 1
    assert json.loads(broken.stdout) == {"unbroken": False, "breaks_at": 2}
    assert "breaks at entry 2" in site.told("audit", "verify").stdout


def test_the_policy_is_shown_as_it_is_in_force(site: Site) -> None:
    path = site.folder / "policy.toml"
    path.write_text("minimum_sites = 7\n[budget]\nreleases = 3\n")
    rules = site.asked("policy", "show", "--file", str(path))["rules"]
    assert (rules["minimum_sites"], rules["minimum_rows"], rules["budget"]["releases"]) == (7, 10, 3)
    assert site.told("policy", "schema").stdout == SCHEMA.read_text()


def test_what_was_answered_is_compared_before_a_version_is_dropped(site: Site, journal: Journal) -> None:
    """Whose consent is withdrawn is taken out by a new version, and the old one dropped."""
    table, store, records = (
        site.folder / "lung.csv",
        DatasetStore(site.data / "datasets"),
        AnsweredRows(journal.connection),
    )
    for ages in (range(40, 70), range(41, 70)):
        table.write_text("age\n" + "".join(f"{age}\n" for age in ages))
        site.asked("data", "import", "lung", str(table), "--no-pictures")
        if ages.start == 40:
            made = answer(bind(moments()), store, (), records.key())
            with journal.transaction():
                records.answer("lung", made.to_remember)
    site.asked("data", "drop", "lung", "--version", "1", "--yes")
    assert [(one.version, one.gone) for one in records.row_sets("lung")] == [(1, 0), (2, 1)]
    assert answer(bind(moments()), store, records.row_sets("lung"), records.key()).moved == 4


def _keys(number: int) -> list[bytes]:
    return [Identity(os.urandom(32)).public for _ in range(number)]


def test_standing_approvals_are_granted_listed_and_revoked(site: Site, journal: Journal) -> None:
    assert "there are no standing approvals" in site.told("approve", "--standing").stdout
    granted = site.told("approve", "--standing", "--dataset", "lung", "--times", "3").stdout
    assert "any one site of a project's roster, without asking, in at most 3 runs within any 30 days" in granted
    assert "tells the totals of the missing site, never a person's values" in " ".join(granted.split())
    roster = Roster.of(PROJECT.bytes, b"{}", *_keys(1), _keys(3))
    with journal.transaction() as batch:
        Ledger(batch.connection).confirm(PROJECT, roster, b"{}")
    key = roster.sites[0]
    site.asked("approve", "--standing", "--dataset", "lung", "--site", key.hex()[:12], "--days", "7")
    found = site.asked("approve", "--standing")["standing"]
    assert [(one["number"], one["site"], one["times"], one["days"]) for one in found] == [
        (1, None, 3, 30),
        (2, key.hex(), 1, 7),
    ]
    assert site.asked("deny", "--standing", "1") == {"revoked": 1}
    assert [one["number"] for one in site.asked("approve", "--standing")["standing"]] == [2]
    for words, complaint in (
        (("approve", "--standing", "--dataset", "lung", "--site", "zz"), "0 keys"),
        (("deny", "--standing", "1"), "no standing approval has the number 1"),
        (("approve",), "name the run"),
    ):
        with pytest.raises(ParameterError, match=complaint):
            site.told(*words)
    whats = [entry["what"] for entry in Ledger(journal.connection).entries()]
    assert whats[-3:] == ["standing-granted", "standing-granted", "standing-revoked"]
