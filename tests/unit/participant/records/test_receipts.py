"""Receipts at a site: checked against its own ledger, and stored with any faults found."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from participant.records.ledger import TABLES, Ledger
from participant.records.receipts import Receipts, check, fetch
from participant.statistics.evaluation.receipts import as_facts, as_words
from relay.api.wire import to_base64url
from relay.client.parcels import Parcel, Parcels
from relay.client.transport import RelayError
from relay.party.journal import Journal
from secagg import receipts as r
from secagg.identity import Identity, Roster
from secagg.receipts import PARCEL, ReceiptError, signed, verify_receipt
from tests.support.playbook import RUN
from tests.support.receipts import TERMS, chain, contents, receipt

CONTENTS, COORDINATOR = contents("malicious")
ROSTER: Roster = CONTENTS[0].roster
ID = UUID(bytes=RUN)
PROJECT = UUID(bytes=ROSTER.project)
SITE = ROSTER.sites[0]


@pytest.fixture
def journal(tmp_path: Path):
    made = Journal(tmp_path / "party", TABLES)
    ledger = Ledger(made.connection)
    ledger.confirm(PROJECT, ROSTER, TERMS)
    ledger.join_epoch(ID, PROJECT, 1)
    yield made
    made.close()


def entered(journal: Journal, what: str, round_: int, **facts: Any) -> None:
    Ledger(journal.connection).enter(
        {"what": what, "at": 1.0, "project": str(PROJECT), "run": str(ID), "round": round_, **facts}
    )


def sites(*indices: int) -> list[str]:
    return [to_base64url(ROSTER.sites[i - 1]) for i in indices]


def test_what_the_site_signed_itself_is_in_it(journal: Journal) -> None:
    entered(journal, "survivors", 1, sites=sites(1, 2, 3, 4))
    entered(journal, "survivors", 2, sites=sites(1, 2, 3))
    assert len(check(receipt().encode(), ID, Ledger(journal.connection)).rounds) == 3


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (("survivors", 1, {"sites": sites(1, 2, 3)}), "its sum in round 1 is not over the sites that this site signed"),
        (("upload", 9, {"query": {}}), "it lacks round 9, to which this site contributed"),
        (("upload", 1, {"query": {"statistic": "another"}}), "its query in round 1 is not the one"),
    ],
)
def test_what_the_site_knows_better_is_held_against_it(journal: Journal, entry: Any, complaint: str) -> None:
    what, round_, facts = entry
    entered(journal, what, round_, **facts)
    with pytest.raises(ReceiptError, match=complaint):
        check(receipt().encode(), ID, Ledger(journal.connection))


def held(journal: Journal, round_: int, root: bytes) -> None:
    Ledger(journal.connection).keep_result(ID, round_, (1, 2, 3), bytes(8), root)


def test_the_sums_that_the_site_holds_are_the_receipt_s(journal: Journal) -> None:
    for shown in verify_receipt(receipt()).rounds:
        if shown.root is not None:
            held(journal, shown.round, shown.root)
    held(journal, 1, b"")  # kept by a version that kept no root
    assert len(check(receipt().encode(), ID, Ledger(journal.connection)).rounds) == 3


@pytest.mark.parametrize(
    ("round_", "root", "complaint"),
    [
        (1, b"r" * 32, "its sum in round 1 is not the one that this site holds"),
        (3, b"r" * 32, "it claims that round 3 has no sum, but this site holds that sum"),
        (3, b"", "it claims that round 3 has no sum"),
        (9, b"r" * 32, "it claims that round 9 has no sum"),
    ],
)
def test_a_receipt_that_hides_or_changes_a_sum_is_refused(
    journal: Journal, round_: int, root: bytes, complaint: str
) -> None:
    held(journal, round_, root)
    with pytest.raises(ReceiptError, match=complaint):
        check(receipt().encode(), ID, Ledger(journal.connection))


def test_a_foreign_receipt_is_refused(journal: Journal) -> None:
    ledger = Ledger(journal.connection)
    with pytest.raises(ReceiptError, match=f"it is for run {ID}, not for"):
        check(receipt().encode(), UUID(int=5), ledger)
    ledger.confirm(PROJECT, replace(ROSTER, coordinator=Identity(bytes(32)).public), TERMS)
    with pytest.raises(ReceiptError, match="its roster is not the one"):
        check(receipt().encode(), ID, ledger)
    ledger.forget(PROJECT)
    with pytest.raises(ReceiptError, match="has not confirmed its project"):
        check(receipt().encode(), ID, ledger)


def sent(monkeypatch: pytest.MonkeyPatch, *parcels: Parcel, error: Exception | None = None) -> None:
    async def receive(_self: Parcels, after: int = 0) -> list[Parcel]:
        if error is not None:
            raise error
        return [parcel for parcel in parcels if parcel.id > after][:1]

    monkeypatch.setattr(Parcels, "receive", receive)


def parcel(number: int, content: bytes, **changes: Any) -> Parcel:
    made = Parcel(number, COORDINATOR.public, PARCEL, content)
    return replace(made, **changes)


async def fetched(journal: Journal) -> list[tuple[bytes, str]]:
    await fetch(SimpleNamespace(), Identity(bytes(32)), journal)  # type: ignore[arg-type]  # parcels are given
    return [(kept.data, kept.fault) for kept in Receipts(journal.connection).all()]


async def test_the_coordinator_s_receipt_is_kept_and_asked_for_no_more(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = receipt().encode()
    sent(
        monkeypatch,
        parcel(1, b"x", author=SITE),
        parcel(2, b"x", name="a log"),
        parcel(3, b"x", fault="no"),
        parcel(4, good),
    )
    assert await fetched(journal) == [(good, "")]
    assert Receipts(journal.connection).awaited() == {}
    assert Receipts(journal.connection).of(ID).data == good


async def test_one_that_does_not_hold_is_kept_as_such_until_one_does(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = receipt().encode(), signed(chain(CONTENTS), Identity(bytes([3]) * 32)).encode()
    sent(monkeypatch, parcel(1, bad))
    ((data, fault),) = await fetched(journal)
    assert data == bad
    assert "entries were removed or added" in fault
    receipts = Receipts(journal.connection)
    receipts.keep(ID, good, "")
    receipts.keep(ID, bad, fault)
    assert receipts.of(ID).fault == ""


async def test_a_run_that_the_relay_has_forgotten_is_asked_for_no_more(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(monkeypatch, error=RelayError("busy", 429, "later"))
    assert await fetched(journal) == []
    sent(monkeypatch, error=RelayError("not-found", 404, "no such run"))
    ((_, fault),) = await fetched(journal)
    assert "it could not be fetched: not-found" in fault


async def test_a_long_receipt_comes_as_a_file(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    good = receipt().encode()

    async def file(_self: Parcels, _parcel: Parcel, target: Path) -> None:
        target.write_bytes(good)  # noqa: ASYNC240  # a few bytes

    monkeypatch.setattr(Parcels, "fetch", file)
    sent(monkeypatch, parcel(1, b"", size=1 << 40, payload="p"))
    ((_, fault),) = await fetched(journal)
    assert "a receipt may have at most" in fault
    journal.connection.execute("DELETE FROM receipt")
    sent(monkeypatch, parcel(1, b"", size=len(good), payload="p"))
    assert await fetched(journal) == [(good, "")]


def test_it_is_told_in_words_and_facts() -> None:
    shown = verify_receipt(receipt())
    words, facts = as_words(shown), as_facts(shown)
    assert ROSTER.words() in words
    assert "round 2: sum over 3 of 4 sites" in words
    assert "round 3: 3 sites asked, no sum" in words
    assert "a query that this release does not know" in words
    assert facts["rounds"][0]["uploads"].keys() == {key.hex() for key in ROSTER.sites}
    assert facts["head"] == shown.head.hex()
    assert facts["rounds"][0]["query"] is None


def test_a_foreign_kind_of_receipt_has_no_rounds() -> None:
    only_begun = signed(chain([CONTENTS[0], r.Ended(outcome="failed: nobody came")]), COORDINATOR)
    shown = verify_receipt(only_begun)
    assert (shown.rounds, shown.outcome) == ((), "failed: nobody came")
