"""Upgrades: a journal that any earlier schema left, down to the first, opens with all that it holds.

`journals/` has them as SQL, each written by the code of its time. The number is the journal's `user_version`, which was
0 before migrations were numbered.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from coordinator.journal.records import RunRecords
from coordinator.journal.schema import TABLES as COORDINATOR
from coordinator.journal.tables import RunTables
from coordinator.runs import backup
from coordinator.session.config import CoordinatorConfig
from participant.records.ledger import TABLES as PARTICIPANT
from participant.records.ledger import Ledger
from relay.api.states import RunState
from relay.party import keystore
from relay.party.journal import COPY_NAME, FILE_NAME, Journal, JournalError, NewerJournalError
from relay.party.migrations import Migrations, columns, migrate, version
from relay.service.folders import private_folder

KEPT = Path(__file__).parent / "journals"
PROJECT, RUN = UUID(int=1), UUID(int=2)
COMPLETED, FAILED, OPEN = (UUID(int=number) for number in (2, 3, 4))


def names(party: str) -> list[str]:
    return sorted(path.stem for path in KEPT.glob(f"{party}-*.sql"))


def restored(name: str, folder: Path) -> Path:
    """Write a kept journal to a folder; return the folder."""
    with closing(sqlite3.connect(private_folder(folder) / FILE_NAME)) as connection:
        connection.executescript((KEPT / f"{name}.sql").read_text())
        connection.commit()
    return folder


def tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name: columns(connection, name) for (name,) in found}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "party"


@pytest.fixture
def opened(folder: Path, request: pytest.FixtureRequest) -> Iterator[Journal]:
    migrations = PARTICIPANT if request.param.startswith("participant") else COORDINATOR
    with closing(Journal(restored(request.param, folder), migrations)) as journal:
        yield journal


@pytest.mark.parametrize("opened", names("participant") + names("coordinator"), indirect=True)
def test_an_upgraded_journal_has_the_tables_of_a_new_one_and_a_copy_of_the_old(
    opened: Journal, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["opened"]
    migrations = PARTICIPANT if name.startswith("participant") else COORDINATOR
    with closing(Journal(tmp_path / "new", migrations)) as new:
        assert tables(opened.connection) == tables(new.connection)
        assert version(opened.connection) == version(new.connection) == max(migrations)
    seen = int(name.split("-")[1])
    copies = list(folder.glob(COPY_NAME.format("*")))
    assert [copy.name for copy in copies] == ([] if seen == max(migrations) else [COPY_NAME.format(seen)])
    for copy in copies:
        assert copy.stat().st_mode & 0o077 == 0
        with closing(sqlite3.connect(copy)) as connection:
            assert version(connection) == seen
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("opened", names("participant"), indirect=True)
def test_a_sites_ledger_of_any_time_is_whole(opened: Journal, request: pytest.FixtureRequest) -> None:
    ledger = Ledger(opened.connection)
    confirmed = ledger.confirmed(PROJECT)
    assert confirmed is not None
    assert confirmed.terms == b'{"name": "lung"}'
    assert [(entry["what"], entry["round"]) for entry in ledger.entries()] == [("upload", 1), ("upload", 2)]
    assert ledger.last_epoch(RUN) == 3
    knew_survivors = request.node.callspec.params["opened"] != "participant-0"
    assert len(ledger.survivors(RUN)) == (3 if knew_survivors else 0)
    assert ledger.results() == [(RUN, 1, bytes(16))]
    assert opened.position == 41
    with opened.transaction():
        ledger.enter({"what": "upload", "round": 3})
        ledger.end_run(RUN, "completed")
    assert len(ledger.entries()) == 3


@pytest.mark.parametrize("opened", names("coordinator"), indirect=True)
def test_a_coordinators_sums_of_any_time_are_there(opened: Journal) -> None:
    for run in (COMPLETED, OPEN):
        stored = RunTables(opened.connection, run)
        assert [answer.survivors for _, answer in stored.answers()] == [("north", "south", "west")]
        assert stored.last_epoch() == (1, 9)


def through_the_first_release(connection: sqlite3.Connection) -> None:
    """Open a journal as 0.1.0 did: `run` and `turn` stayed as they were, but counted as of 7."""
    migrate(connection, {number: change for number, change in COORDINATOR.items() if number < 8})
    connection.commit()


@pytest.mark.parametrize("detour", [False, True])
@pytest.mark.parametrize("name", ["coordinator-4", "coordinator-5", "coordinator-7"])
def test_runs_of_any_time_are_listed_backed_up_and_restored(name: str, detour: bool, tmp_path: Path) -> None:
    settings = CoordinatorConfig(data=restored(name, tmp_path / "old"), relay="http://127.0.0.1:1")
    if detour:
        with closing(sqlite3.connect(settings.data / FILE_NAME)) as connection:
            through_the_first_release(connection)
    keystore.create(settings.identity, "a long passphrase")
    with closing(Journal(settings.data, COORDINATOR)) as journal:
        records = RunRecords(journal.connection)
        assert {record.run: record.state for record in records.all()} == {
            COMPLETED: RunState.COMPLETED,
            FAILED: RunState.FAILED,
            OPEN: RunState.RUNNING,
        }
        assert records.get(FAILED).reason == "too few sites"
        assert list(records.get(COMPLETED).analyses) == ["kaplan_meier"]
        early = name != "coordinator-7"
        assert (records.get(OPEN).deadline == records.get(OPEN).began) is early  # the next sweep ends it
        RunTables(journal.connection, OPEN).close_round()  # a statement on `turn`
    backup.make(settings, "a long passphrase", tmp_path / "backup")
    fresh = CoordinatorConfig(data=tmp_path / "fresh", relay="http://127.0.0.1:1")
    assert backup.restore(fresh, "a long passphrase", tmp_path / "backup")["open"] == [str(OPEN)]


@pytest.mark.parametrize(("party", "migrations"), [("participant", PARTICIPANT), ("coordinator", COORDINATOR)])
def test_a_journal_of_a_newer_release_is_refused_by_name_and_not_changed(
    party: str, migrations: Migrations, folder: Path
) -> None:
    with closing(Journal(folder, {**migrations, max(migrations) + 1: "CREATE TABLE later (a INTEGER) STRICT"})):
        pass
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(NewerJournalError, match=r"a newer release wrote it .* Nothing was changed"):
        Journal(folder, migrations)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_backup_of_a_newer_release_is_refused_and_nothing_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = CoordinatorConfig(data=tmp_path / "newer", relay="http://127.0.0.1:1")
    keystore.create(settings.identity, "a long passphrase")
    newer = {**COORDINATOR, max(COORDINATOR) + 1: "CREATE TABLE later (a INTEGER) STRICT"}
    with monkeypatch.context() as release:
        release.setattr(backup, "TABLES", newer)
        backup.make(settings, "a long passphrase", tmp_path / "backup")
    older = CoordinatorConfig(data=tmp_path / "older", relay="http://127.0.0.1:1")
    with pytest.raises(backup.CoordinatorBackupError, match="a newer release wrote it"):
        backup.restore(older, "a long passphrase", tmp_path / "backup")
    assert not older.data.exists()


def test_no_journal_is_upgraded_under_a_process_of_the_earlier_release(folder: Path) -> None:
    earlier = {number: change for number, change in PARTICIPANT.items() if number < max(PARTICIPANT)}
    with closing(Journal(folder, earlier)) as daemon:
        daemon.lock()
        with pytest.raises(JournalError, match=r"an earlier release is using .*; stop it first"):
            Journal(folder, PARTICIPANT)
        assert version(daemon.connection) == max(earlier)
    with closing(Journal(folder, PARTICIPANT)) as journal:
        assert version(journal.connection) == max(PARTICIPANT)


def test_an_upgrade_that_fails_halfway_leaves_the_journal_as_it_was(folder: Path) -> None:
    restored("coordinator-5", folder)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        Journal(folder, {**COORDINATOR, max(COORDINATOR) + 1: "ALTER TABLE none ADD COLUMN b"})
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        assert version(connection) == 5
        assert "outcome" in columns(connection, "run")


@pytest.mark.parametrize("migrations", [PARTICIPANT, COORDINATOR])
def test_migrations_are_numbered_without_gaps(migrations: Migrations) -> None:
    assert list(migrations) == list(range(1, len(migrations) + 1))
