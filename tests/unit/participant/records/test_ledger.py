"""The ledger: entries in order, and any change to past entries is detected."""

from pathlib import Path
from uuid import UUID

import pytest

from participant.records.ledger import TABLES, Ledger
from relay.party.journal import Journal
from secagg.audit import BrokenChainError
from secagg.identity import Roster

PROJECT, RUN = UUID(int=1), UUID(int=2)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "party", TABLES)


@pytest.fixture
def ledger(journal: Journal) -> Ledger:
    made = Ledger(journal.connection)
    for number in range(4):
        with journal.transaction():
            made.enter({"what": "upload", "round": number})
    return made


def test_entries_come_back_in_order(ledger: Ledger) -> None:
    assert [entry["round"] for entry in ledger.entries()] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "tampering",
    [
        'UPDATE release SET entry = CAST(\'{"round":9,"what":"upload"}\' AS BLOB) WHERE number = 2',
        "DELETE FROM release WHERE number = 2",
        "UPDATE release SET number = -1 WHERE number = 3",
    ],
)
def test_a_changed_removed_or_moved_entry_shows(ledger: Ledger, journal: Journal, tampering: str) -> None:
    journal.connection.execute(tampering)
    with pytest.raises(BrokenChainError):
        ledger.entries()


def test_an_entry_of_a_transaction_that_failed_is_not_there(ledger: Ledger, journal: Journal) -> None:
    with pytest.raises(RuntimeError), journal.transaction():
        ledger.enter({"what": "upload", "round": 4})
        raise RuntimeError
    assert len(ledger.entries()) == 4


def test_confirmations_are_kept_replaced_and_withdrawn(ledger: Ledger) -> None:
    keys = [bytes([i]) * 32 for i in range(5)]
    first, second = (Roster.of(PROJECT.bytes, b"terms", keys[0], keys[1 : 4 + i]) for i in range(2))
    assert ledger.confirmed(PROJECT) is None
    ledger.confirm(PROJECT, first, b"terms")
    ledger.confirm(PROJECT, second, b"terms")
    assert ledger.confirmed(PROJECT).roster == second
    ledger.forget(PROJECT)
    assert ledger.confirmed(PROJECT) is None


def test_the_last_epoch_of_a_run_is_remembered(ledger: Ledger) -> None:
    assert ledger.last_epoch(RUN) == 0
    ledger.join_epoch(RUN, PROJECT, 1)
    ledger.join_epoch(RUN, PROJECT, 2)
    assert ledger.last_epoch(RUN) == 2
    assert ledger.project_of(RUN) == PROJECT


def test_the_last_survivors_of_a_run_are_kept_over_its_epochs(ledger: Ledger) -> None:
    assert ledger.survivors(RUN) == ()
    ledger.join_epoch(RUN, PROJECT, 1)
    assert ledger.survivors(RUN) == ()
    keys = tuple(bytes([i]) * 32 for i in range(4))
    for left in (keys, keys[1:]):
        ledger.keep_survivors(RUN, left)
    ledger.join_epoch(RUN, PROJECT, 2)
    assert ledger.survivors(RUN) == keys[1:]
