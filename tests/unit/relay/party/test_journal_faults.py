"""Disks that fail or fill up, and torn files: the journal reports them, and never returns an older state."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from relay.party.journal import Journal, JournalError, RestoredStateError

STEPS = 4
PROGRAM = f"""
import sys
from pathlib import Path
from relay.party.journal import Journal
journal = Journal(Path(sys.argv[1]), {{}}, Path(sys.argv[2]))
journal.lock()
print("opened", flush=True)
for step in range(1, {STEPS + 1}):
    with journal.transaction() as batch:
        batch.put("run", b"state %d" % step)
        batch.post(__import__("uuid").UUID(int=1), None, b"frame %d" % step, [b"payload %d" % step])
    print(step, flush=True)
"""


def written(folder: Path) -> None:
    """A journal whose last state is that of the last step."""
    journal = Journal(folder, {})
    journal.lock()
    for step in range(1, STEPS + 1):
        with journal.transaction() as batch:
            batch.put("run", b"state %d" % step)
    journal.close()


def found(folder: Path, anchor: Path | None = None) -> bytes | None:
    """The state that a start after a fault finds, None where the journal says that there is none to go on with."""
    try:
        journal = Journal(folder, {}, anchor)
    except JournalError:
        return None
    try:
        journal.lock()
        return journal.state("run") if journal.machines() else b""
    except (RestoredStateError, JournalError):
        return None
    finally:
        journal.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("call", ["fsync,fdatasync:error=EIO", "pwrite64:error=ENOSPC", "rename,renameat2:error=EIO"])
def test_the_nth_call_fails(tmp_path, call):
    """Recipe 3: whichever write, fsync or rename fails, what was said to be done is there, and nothing older."""
    for nth in range(1, 60, 4):
        folder, anchor, trace = tmp_path / f"{nth}", tmp_path / "anchors" / f"{nth}", tmp_path / "trace"
        inject = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"inject={call}:when={nth}"]
        done = subprocess.run(
            [*inject, sys.executable, "-c", PROGRAM, str(folder), str(anchor)],
            capture_output=True,
            text=True,
            check=False,
        )
        if "ptrace" in done.stderr:
            pytest.skip("this machine lets no process be traced")
        if "INJECTED" not in trace.read_text():
            assert done.returncode == 0, done.stderr
            assert nth > 1, "not even the first call was made to fail"
            return  # there are fewer calls than that
        said = [int(line) for line in done.stdout.split() if line.isdigit()]
        last = said[-1] if said else 0
        state = found(folder, anchor)
        possible = {b"state %d" % step for step in (last, last + 1) if step} | ({b"", None} if last == 0 else set())
        if anchor.exists() or last == 0:
            possible.add(None)  # given up, which costs an epoch and no secret
        assert state in possible, (nth, said, state, done.stderr[-300:])


def test_a_disk_that_is_full_changes_nothing_and_goes_on_when_there_is_room(tmp_path):
    """Recipe 4: no file may grow for a while."""
    folder = tmp_path / "party"
    journal = Journal(folder, {})
    journal.lock()
    with journal.transaction() as batch:
        batch.put("run", b"state 1")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        with pytest.raises((sqlite3.Error, OSError)), journal.transaction() as batch:
            batch.put("run", b"state 2" + bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.close()
    assert found(folder) == b"state 1"
    journal = Journal(folder, {})
    journal.lock()
    with journal.transaction() as batch:
        batch.put("run", b"state 3")
    journal.close()
    assert found(folder) == b"state 3"


def test_a_journal_that_was_damaged_is_refused_with_a_word_of_what_to_do(tmp_path):
    """Recipe 5: bytes are flipped, or the file is gone."""
    folder = tmp_path / "party"
    written(folder)
    content = (folder / "journal.sqlite").read_bytes()
    for at, damage in ((0, b"\xff" * 64), (4096, b"\xff" * 4096)):
        (folder / "journal.sqlite").write_bytes(content[:at] + damage + content[at + len(damage) :])
        with pytest.raises(JournalError, match=r"is damaged: .* move the folder away"):
            journal = Journal(folder, {})
            try:
                journal.lock()
            finally:
                journal.close()
    (folder / "journal.sqlite").unlink()
    assert found(folder) == b""  # no machine: its key alone opens nothing


@pytest.mark.parametrize("name", ["journal.sqlite", "journal.sqlite-wal", "keys/run"])
def test_a_file_that_is_torn_at_any_place_gives_the_last_state_or_none(tmp_path, name):
    """Recipe 6: never an older one, with which a mask would come twice."""
    folder, torn = tmp_path / "whole", tmp_path / "torn"
    journal = Journal(folder, {})
    journal.lock()
    for step in range(1, STEPS + 1):
        with journal.transaction() as batch:
            batch.put("run", b"state %d" % step)
    size = (folder / name).stat().st_size  # the log is still there, as the journal is open
    places = range(size) if size < 200 else range(0, size, max(size // 120, 1))
    seen = set()
    for at in places:
        shutil.rmtree(torn, ignore_errors=True)
        shutil.copytree(folder, torn)
        os.truncate(torn / name, at)
        seen.add(found(torn))
    journal.close()
    assert seen <= {b"state %d" % STEPS, b"", None}
    assert None in seen or b"" in seen


def test_a_command_that_holds_the_journal_is_waited_for(tmp_path):
    """Recipe 8: a writer waits for another one, and loses nothing."""
    folder = tmp_path / "party"
    written(folder)
    journal = Journal(folder, {})
    other = sqlite3.connect(folder / "journal.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def let_go() -> None:
        time.sleep(0.5)
        other.execute("COMMIT")

    thread = threading.Thread(target=let_go)
    thread.start()
    with journal.transaction() as batch:
        batch.read_to(7)
    thread.join()
    assert journal.position == 7
    other.close()
    journal.close()
