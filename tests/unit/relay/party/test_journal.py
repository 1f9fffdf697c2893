"""The journal: atomic commits, sealed states that cannot be restored, one daemon per folder."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from relay.party.journal import Journal, JournalError, RestoredStateError

RUN = UUID(int=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "party"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    opened = Journal(folder, {})
    opened.lock()
    yield opened
    opened.close()


def test_a_transaction_keeps_state_frames_payload_and_position_together(journal: Journal) -> None:
    with journal.transaction() as batch:
        batch.put("run", b"state 1")
        batch.post(RUN, b"k" * 32, b"frame", [b"pay", b"load"])
        batch.post(RUN, None, b"to all")
        batch.read_to(7)
    assert journal.state("run") == b"state 1"
    assert journal.position == 7
    first, second = journal.outgoing()
    assert (first.recipient, first.frame, first.payload.read_bytes(), first.payload_for) == (
        b"k" * 32,
        b"frame",
        b"payload",
        b"k" * 32,
    )
    assert (second.recipient, second.frame, second.payload) == (None, b"to all", None)


def test_a_block_that_raises_changes_nothing_and_leaves_no_file(journal: Journal, folder: Path) -> None:
    with journal.transaction() as batch:
        batch.put("run", b"state 1")
    with pytest.raises(RuntimeError, match="on purpose"), journal.transaction() as batch:
        batch.put("run", b"state 2")
        batch.post(RUN, None, b"frame", [b"payload"])
        batch.read_to(9)
        raise RuntimeError("on purpose")
    assert journal.state("run") == b"state 1"
    assert journal.position == 0
    assert journal.outgoing() == []
    assert list((folder / "spool").iterdir()) == []


def test_a_shared_payload_is_stored_once_and_leaves_with_its_last_frame(journal: Journal, folder: Path) -> None:
    with journal.transaction() as batch:
        for key in (b"a" * 32, b"b" * 32):
            batch.post(RUN, key, b"frame", [b"sum"], shared=True)
    first, second = journal.outgoing()
    assert first.payload == second.payload
    assert first.payload_for is None
    journal.delivered(first)
    assert second.payload.exists()
    journal.delivered(second)
    assert list((folder / "spool").iterdir()) == []


def test_states_are_sealed_and_their_old_keys_are_overwritten(journal: Journal, folder: Path) -> None:
    canary = b"a secret of the epoch, 32 bytes!"
    with journal.transaction() as batch:
        batch.put("run", canary)
    old_key_file = (folder / "keys" / "run").read_bytes()
    with journal.transaction() as batch:
        batch.put("run", b"later")
    journal.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert canary not in stored
    new_key_file = (folder / "keys" / "run").read_bytes()
    slots = [old_key_file[at : at + 48][8:40] for at in (0, 48)]
    assert all(key not in new_key_file for key in slots if any(key))


def test_a_restored_database_is_noticed(journal: Journal, folder: Path) -> None:
    with journal.transaction() as batch:
        batch.put("run", b"state 1")
    row = journal.connection.execute("SELECT generation, sealed FROM machine").fetchone()
    with journal.transaction() as batch:
        batch.put("run", b"state 2")
    journal.connection.execute("UPDATE machine SET generation = ?, sealed = ?", row)
    with pytest.raises(RestoredStateError, match="was restored from a copy"):
        journal.state("run")


def test_a_state_that_was_exchanged_is_noticed(journal: Journal) -> None:
    with journal.transaction() as batch:
        batch.put("run", b"state 1")
        batch.put("other", b"state 1")
    sealed = journal.connection.execute("SELECT sealed FROM machine WHERE name = 'other'").fetchone()[0]
    journal.connection.execute("UPDATE machine SET sealed = ? WHERE name = 'run'", (sealed,))
    with pytest.raises(RestoredStateError, match="not the last one committed"):
        journal.state("run")


def test_a_torn_key_slot_of_a_transition_that_did_not_commit_does_no_harm(journal: Journal, folder: Path) -> None:
    with journal.transaction() as batch:
        batch.put("run", b"state 1")  # generation 1 stands in the second slot
    path = folder / "keys" / "run"
    content = bytearray(path.read_bytes())
    for torn in range(48):
        content[:48] = os.urandom(torn) + bytes(48 - torn)
        path.write_bytes(content)
        assert journal.state("run") == b"state 1"


def test_a_dropped_machine_leaves_neither_state_nor_key(journal: Journal, folder: Path) -> None:
    with journal.transaction() as batch:
        batch.put("run", b"state")
    with journal.transaction() as batch:
        batch.drop("run")
    assert journal.machines() == []
    assert not (folder / "keys" / "run").exists()
    with pytest.raises(JournalError, match="no machine"):
        journal.state("run")


def test_one_state_a_machine_and_transaction(journal: Journal) -> None:
    with pytest.raises(JournalError, match="twice"), journal.transaction() as batch:
        batch.put("run", b"1")
        batch.put("run", b"2")


def test_a_second_daemon_is_refused_and_a_command_without_the_lock_reads_no_state(
    journal: Journal, folder: Path
) -> None:
    """Recipe 9: two daemons with one identity."""
    with journal.transaction() as batch:
        batch.put("run", b"state")
    other = Journal(folder, {})
    with pytest.raises(JournalError, match="another process is using"):
        other.lock()
    other.close()
    command = Journal(folder, {})
    with pytest.raises(JournalError, match="lock"):
        command.state("run")
    assert command.machines() == ["run"]
    command.close()


def test_tables_of_an_earlier_release_are_brought_up_to_date_and_those_of_a_newer_one_refused(folder: Path) -> None:
    create = "CREATE TABLE IF NOT EXISTS own (a INTEGER) STRICT"
    change = "ALTER TABLE own ADD COLUMN b INTEGER DEFAULT 7"
    earlier = Journal(folder, {1: create})
    earlier.connection.execute("INSERT INTO own VALUES (1)")
    earlier.connection.execute("PRAGMA user_version = 0")  # as before statements were counted
    earlier.close()
    for _ in range(2):
        journal = Journal(folder, {1: create, 2: change})
        assert journal.connection.execute("SELECT a, b FROM own").fetchall() == [(1, 7)]
        journal.close()
    with pytest.raises(JournalError, match="a newer release"):
        Journal(folder, {1: create})
    Journal(folder, {}).close()


def test_a_change_that_fails_leaves_the_journal_as_it_was(folder: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Journal(folder, {1: "CREATE TABLE own (a INTEGER) STRICT", 2: "ALTER TABLE none ADD COLUMN b"})
    journal = Journal(folder, {1: "CREATE TABLE own (a INTEGER) STRICT"})
    assert journal.connection.execute("SELECT count(*) FROM own").fetchone() == (0,)
    journal.close()


def test_files_are_private(journal: Journal, folder: Path) -> None:
    """Recipe 37: files are their owner's alone, whatever the umask is."""
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "keys").stat().st_mode & 0o077 == 0


_WRITER = """
import sys
from pathlib import Path
from uuid import UUID
from relay.party.journal import Journal
journal = Journal(Path(sys.argv[1]), {})
journal.lock()
start = int(journal.state("run")) if journal.machines() else 0
for number in range(start + 1, start + 100):
    with journal.transaction() as batch:
        batch.put("run", b"%d" % number)
        batch.post(UUID(int=1), None, b"frame %d" % number, [b"payload %d" % number])
        batch.read_to(number)
"""


@pytest.mark.parametrize("point", ["journal-before-commit", "journal-after-commit"])
def test_kill_at_each_labelled_point_keeps_state_outbox_and_position_equal(point: str, folder: Path) -> None:
    committed = 0
    for passage in (1, 2, 3, 7):
        environment = {**os.environ, "SECAGG_CRASH_AT": f"{point}:{passage}"}
        ended = subprocess.run([sys.executable, "-c", _WRITER, str(folder)], env=environment, check=False)
        assert ended.returncode == -signal.SIGKILL
        committed += passage if point == "journal-after-commit" else passage - 1
        journal = Journal(folder, {})
        journal.lock()
        if committed:
            assert journal.state("run") == b"%d" % committed
        outgoing = journal.outgoing()
        assert journal.position == committed
        assert [one.frame for one in outgoing] == [b"frame %d" % i for i in range(1, committed + 1)]
        assert [one.payload.read_bytes() for one in outgoing] == [b"payload %d" % i for i in range(1, committed + 1)]
        journal.close()


def test_kill_at_random_moments_loses_no_committed_state(folder: Path) -> None:
    last = 0
    for delay_ms in (150, 220, 310, 400, 190, 260):
        process = subprocess.Popen([sys.executable, "-c", _WRITER, str(folder)])
        try:
            process.wait(delay_ms / 1000 + 0.2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        journal = Journal(folder, {})
        journal.lock()
        if journal.machines():
            number = int(journal.state("run"))
            assert number >= last
            assert journal.position == number
            assert len(journal.outgoing()) == number
            last = number
        journal.close()


def test_the_database_is_as_durable_as_sqlite_can_be(journal: Journal) -> None:
    assert journal.connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert journal.connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert sqlite3.sqlite_version_info >= (3, 37)
    assert journal.outgoing() == []


def test_a_folder_that_was_set_back_as_a_whole_is_noticed_by_its_anchor(folder: Path, tmp_path: Path) -> None:
    """Recipe 7: keys and database come back together, and only what stands elsewhere tells."""
    anchor = tmp_path / "cache" / "anchor"

    def opened() -> Journal:
        journal = Journal(folder, {}, anchor)
        journal.lock()
        return journal

    journal = opened()
    with journal.transaction() as batch:
        batch.put("run", b"state 1")
    journal.close()
    shutil.copytree(folder, tmp_path / "copy")
    journal = opened()
    assert journal.state("run") == b"state 1"
    with journal.transaction() as batch:
        batch.put("run", b"state 2")
    journal.close()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    journal = opened()
    with pytest.raises(RestoredStateError, match="the folder was restored from a copy"):
        journal.state("run")
    with journal.transaction() as batch:
        batch.drop("run")
        batch.put("next", b"state 1")
    assert journal.machines() == ["next"]
    journal.close()
    journal = opened()
    assert journal.state("next") == b"state 1"  # and then it goes on
    journal.close()


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 16, bytes(15)])
def test_an_anchor_that_is_gone_or_damaged_is_taken_for_a_restore(
    folder: Path, tmp_path: Path, content: bytes | None
) -> None:
    anchor = tmp_path / "cache" / "anchor"
    journal = Journal(folder, {}, anchor)
    journal.lock()
    with journal.transaction() as batch:
        batch.put("run", b"state 1")
    journal.close()
    anchor.unlink() if content is None else anchor.write_bytes(content)
    journal = Journal(folder, {}, anchor)
    journal.lock()
    with pytest.raises(RestoredStateError):
        journal.state("run")
    journal.close()


def test_a_commit_that_was_killed_before_its_anchor_is_no_restore(folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from relay.party.journal import Journal\n"
        "j = Journal(Path(sys.argv[1]), {}, Path(sys.argv[2])); j.lock()\n"
        "for n in range(3):\n"
        "    with j.transaction() as batch: batch.put('run', f'state {n}'.encode())\n"
    )
    for point, state in (("journal-after-commit:3", b"state 2"), ("journal-before-commit:3", b"state 1")):
        place = (folder / point.replace(":", "-"), tmp_path / "cache" / point)
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, place)], env={**os.environ, "SECAGG_CRASH_AT": point}, check=False
        )
        assert done.returncode == -signal.SIGKILL
        journal = Journal(place[0], {}, place[1])
        journal.lock()
        assert journal.state("run") == state
        journal.close()
