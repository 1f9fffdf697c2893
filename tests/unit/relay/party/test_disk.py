"""A full or failing disk: recognised by its errors, waited for, and nothing uncommitted is taken for committed."""

import asyncio
import errno
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from relay.party.disk import FAILS, FULL, RESERVE_BYTES, Disk, DiskError, trouble
from relay.party.journal import Journal

# In a process of its own, whose files may not grow for a while: no write of any kind gets through.
PROGRAM = """
import asyncio, json, resource, sys
from pathlib import Path
from relay.party import disk
from relay.party.journal import Journal

disk.LOOK_S = 0.05

async def main():
    folder = Path(sys.argv[1])
    journal = Journal(folder, {}, folder.parent / "cache" / "anchor")
    journal.lock()
    with journal.transaction() as batch:
        batch.put("run", b"before")
    own = disk.Disk(journal, folder, 1 << 20)
    own.fill()
    attempts = []

    async def work():
        attempts.append(own.trouble)
        with journal.transaction() as batch:
            batch.put("run", b"after %d" % len(attempts))
            batch.post(__import__("uuid").UUID(int=1), None, b"frame", [b"payload %d" % len(attempts)])

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    working = asyncio.create_task(own.persist(work))
    while own.trouble is None:
        await asyncio.sleep(0)
    during = [own.trouble, journal.state("run").decode(), working.done()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await working
    spooled = [path.read_text() for path in (folder / "spool").iterdir()]
    waiting = [one.payload.read_text() for one in journal.outgoing()]
    print(json.dumps([during, len(attempts), journal.state("run").decode(), spooled, waiting, own.state]))

asyncio.run(main())
"""


def test_work_waits_for_the_disk_and_is_done_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "party")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    during, attempts, state, spooled, waiting, reserve = json.loads(
        done.stdout.splitlines()[-1]
    )  # the log comes before it
    assert during[0] in {FULL, FAILS}
    assert during[1:] == ["before", False]
    assert (attempts, state) == (2, "after 2")
    assert spooled == waiting == ["payload 2"]
    assert reserve == "the disk is full; the reserve is in use"


def sqlite_error(kind: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("made for the test")
    error.sqlite_errorcode = kind
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, ""), FULL),
        (OSError(errno.EDQUOT, ""), FULL),
        (OSError(errno.EIO, ""), FAILS),
        (OSError(errno.EROFS, ""), FAILS),
        (ConnectionResetError(errno.ECONNRESET, ""), None),
        (sqlite_error(sqlite3.SQLITE_FULL), FULL),
        (sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), FAILS),
        (sqlite_error(sqlite3.SQLITE_BUSY), None),
        (sqlite3.IntegrityError(), None),
        (ValueError(), None),
    ],
)
def test_errors_of_the_disk_are_told_from_others(error: Exception, said: str | None) -> None:
    assert trouble(error) == said


@pytest.fixture
def journal(tmp_path: Path):
    made = Journal(tmp_path / "party", {})
    made.lock()
    yield made
    made.close()


def test_after_trouble_nothing_is_committed_before_the_wait_is_over(journal: Journal, tmp_path: Path) -> None:
    disk = Disk(journal, tmp_path / "party", 0)
    with pytest.raises(DiskError, match=FULL), disk.watched():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DiskError), disk.watched():
        raise AssertionError("not reached")
    assert disk.state == FULL
    asyncio.run(disk.outlast())
    with disk.watched():
        assert disk.state is None


def test_another_error_passes_and_is_no_trouble(journal: Journal, tmp_path: Path) -> None:
    disk = Disk(journal, tmp_path / "party", 0)
    with pytest.raises(ConnectionResetError), disk.watched():
        raise ConnectionResetError(errno.ECONNRESET, "")
    assert disk.state is None


def test_the_reserve_is_of_its_size_and_private(journal: Journal, tmp_path: Path) -> None:
    disk = Disk(journal, tmp_path / "party", RESERVE_BYTES)
    assert disk.state == "the disk is full; the reserve is in use"
    disk.fill()
    reserve = (tmp_path / "party" / "reserve").stat()
    assert reserve.st_blocks * 512 >= reserve.st_size == RESERVE_BYTES
    assert reserve.st_mode & 0o077 == 0
    assert disk.state is None


def test_what_a_crash_left_beside_the_database_is_removed_at_the_next_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "party", {})
    with journal.transaction() as batch:
        batch.put("kept", b"state")
    journal.close()
    for left in ("spool/0f", "keys/gone"):
        (tmp_path / "party" / left).write_bytes(bytes(48))
    journal = Journal(tmp_path / "party", {})
    journal.lock()
    assert journal.state("kept") == b"state"
    assert [path.name for path in (tmp_path / "party" / "keys").iterdir()] == ["kept"]
    assert list((tmp_path / "party" / "spool").iterdir()) == []
    journal.close()
