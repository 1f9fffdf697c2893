"""Backups of datasets: all that was verified comes back, nothing is overwritten, and a kill does no harm."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from stat import S_IMODE

import polars as pl
import pytest

from participant.data.model.errors import DamagedDatasetError, NoSuchDatasetError
from participant.data.pipeline.importing import import_table
from participant.data.sources.frame import FrameSource
from participant.data.store import backup as module
from participant.data.store.backup import DatasetBackupError, make, newest, read, restore
from participant.data.store.drill import drill
from participant.data.store.store import DatasetStore
from relay.party import sealed
from tests.support.tables import NOW

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _quick_derivation(monkeypatch) -> None:
    monkeypatch.setattr(sealed, "PASSES", 1)
    monkeypatch.setattr(sealed, "MEMORY_BYTES", 8 << 20)


def add(store: DatasetStore, name: str, *values: float) -> None:
    import_table(store, name, FrameSource(pl.DataFrame({"x": values})), imported_at=NOW, pictures=False)


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    """A store with two versions of one dataset, and a third that was dropped, and another dataset."""
    store = DatasetStore(tmp_path / "data")
    for last in (1.0, 2.0, 3.0):
        add(store, "lung", 0.5, last)
    add(store, "heart", 7.0)
    store.drop("lung", 2)
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def backup(store: DatasetStore, folder: Path, *, hours: int = 0, keep: int = 7) -> module.Made:
    return make(store, folder, PASSPHRASE, made=NOW + timedelta(hours=hours), keep=keep)


def tree(store: DatasetStore) -> dict[str, bytes]:
    files = (path for path in store.root.rglob("*") if path.is_file())
    return {path.relative_to(store.root).as_posix(): path.read_bytes() for path in files if path.name != ".lock"}


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != ".lock")


def test_everything_comes_back_on_another_machine(store: DatasetStore, folder: Path, tmp_path: Path) -> None:
    made = backup(store, folder)
    assert made.path.name == "datasets-20240501T120000Z.backup"
    assert S_IMODE(made.path.stat().st_mode) == 0o600
    assert b"data.parquet" not in made.path.read_bytes()
    other = DatasetStore(tmp_path / "other")
    done = restore(other, made.path, PASSPHRASE)
    assert [(one.name, one.version) for one in done.restored] == [("heart", 1), ("lung", 1), ("lung", 3)]
    assert tree(other) == tree(store)
    assert other.verify("lung", 3).rows == 2
    add(other, "lung", 9.0)
    assert other.versions("lung") == (1, 3, 4)  # the number of the dropped version is not used again
    assert other.dropped() == {"lung": (2,)}


def test_what_exists_and_what_was_dropped_stay_so(store: DatasetStore, folder: Path) -> None:
    made = backup(store, folder)
    store.drop("lung", 1)  # a patient's consent was withdrawn
    store.drop("heart")
    add(store, "lung", 4.0)
    before = tree(store)
    done = restore(store, made.path, PASSPHRASE)
    assert done.restored == ()
    assert [(one.name, one.version) for one in done.there] == [("lung", 3)]
    assert [(one.name, one.version) for one in done.dropped] == [("heart", 1), ("lung", 1)]
    assert tree(store) == before


def test_a_version_of_another_table_is_never_overwritten(store: DatasetStore, folder: Path, tmp_path: Path) -> None:
    made = backup(store, folder)
    other = DatasetStore(tmp_path / "other")
    add(other, "lung", 100.0)
    before = tree(other)
    with pytest.raises(DatasetBackupError, match="lung version 1 is another table"):
        restore(other, made.path, PASSPHRASE)
    assert tree(other) == before


def test_verifying_restores_nothing(store: DatasetStore, folder: Path, tmp_path: Path) -> None:
    made = backup(store, folder)
    other = DatasetStore(tmp_path / "other")
    done = restore(other, made.path, PASSPHRASE, verify_only=True)
    assert (len(done.manifest.versions), done.restored, tree(other)) == (3, (), {})


@pytest.mark.parametrize("change", [lambda text: text[:-100], lambda text: text[:-1] + b"x", lambda _text: b"mine"])
def test_a_torn_or_changed_backup_restores_nothing(store: DatasetStore, folder: Path, tmp_path: Path, change) -> None:
    made = backup(store, folder)
    made.path.write_bytes(change(made.path.read_bytes()))
    other = DatasetStore(tmp_path / "other")
    with pytest.raises(DatasetBackupError, match="changed"):
        restore(other, made.path, PASSPHRASE)
    assert tree(other) == {}


def test_a_wrong_passphrase_is_named(store: DatasetStore, folder: Path) -> None:
    with pytest.raises(DatasetBackupError, match="the passphrase is wrong"):
        read(backup(store, folder).path, "another passphrase")


def test_old_backups_go_only_after_a_new_one_is_verified(store: DatasetStore, folder: Path, monkeypatch) -> None:
    first, second = (backup(store, folder, hours=hours, keep=2).path for hours in (0, 1))
    with monkeypatch.context() as patched, pytest.raises(DatasetBackupError, match="does not hold the files"):
        patched.setattr(module, "_copied", lambda *_: "another hash")
        backup(store, folder, hours=2, keep=2)
    assert files(folder) == [first, second]
    made = backup(store, folder, hours=3, keep=2)
    assert made.removed == (first.name,)
    assert newest(folder) == made.path
    assert files(folder) == [second, made.path]


def test_no_backup_of_nothing_or_of_damage(store: DatasetStore, folder: Path) -> None:
    first = backup(store, folder).path
    data = store.folder("heart", 1) / "data.parquet"
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedDatasetError, match="heart version 1 were changed"):
        backup(store, folder, hours=1)
    store.drop("heart")
    store.drop("lung")
    with pytest.raises(DatasetBackupError, match="no datasets"):
        backup(store, folder, hours=1)
    assert files(folder) == [first]
    with pytest.raises(DatasetBackupError, match="there is no backup"):
        newest(store.root)


def test_two_backups_at_once(store: DatasetStore, folder: Path) -> None:
    backup(store, folder)
    with module._alone(folder), pytest.raises(DatasetBackupError, match="another backup is being written"):
        backup(store, folder, hours=1)
    with pytest.raises(DatasetBackupError, match="never overwrites another"):
        backup(store, folder)


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from participant.data.store import backup
from participant.data.store.store import DatasetStore
from relay.party import sealed

sealed.PASSES, sealed.MEMORY_BYTES = 1, 8 << 20
do, point, store, place, passphrase, at = sys.argv[1:]
owner = backup if hasattr(backup, point) else DatasetStore
original, calls = getattr(owner, point), []

def second(*arguments):
    if calls:
        os.kill(os.getpid(), signal.SIGKILL)
    calls.append(1)
    return original(*arguments)

setattr(owner, point, second)
if do == "make":
    backup.make(DatasetStore(Path(store)), Path(place), passphrase, made=datetime.fromisoformat(at), keep=7)
else:
    backup.restore(DatasetStore(Path(store)), Path(place), passphrase)
"""
"""A backup or a restore in a process that is killed at the second call of a function."""


def killed_at(point: str, do: str, store: DatasetStore, place: Path) -> None:
    arguments = [do, point, str(store.root), str(place), PASSPHRASE, (NOW + timedelta(hours=1)).isoformat()]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_backup_leaves_the_earlier_ones(store: DatasetStore, folder: Path) -> None:
    first = backup(store, folder).path
    before = tree(store)
    killed_at("_add", "make", store, folder)
    assert newest(folder) == first
    second = backup(store, folder, hours=2).path
    assert files(folder) == [first, second]
    store.clear()
    assert tree(store) == before


@pytest.mark.parametrize("point", ["_copied", "put_back"])
def test_a_killed_restore_is_completed_by_the_next(
    store: DatasetStore, folder: Path, tmp_path: Path, point: str
) -> None:
    made = backup(store, folder)
    other = DatasetStore(tmp_path / "other")
    killed_at(point, "restore", other, made.path)
    there = [(one.name, version) for one in other.list() for version in other.versions(one.name)]
    assert there == ([("heart", 1)] if point == "put_back" else [])
    done = restore(other, made.path, PASSPHRASE)
    assert len(done.restored) + len(done.there) == 3
    other.clear()
    assert tree(other) == tree(store)


def test_a_drill_restores_elsewhere_and_reports(store: DatasetStore, folder: Path) -> None:
    backup(store, folder)
    add(store, "lung", 5.0)
    before = tree(store)
    done = drill(store, folder, PASSPHRASE, at=NOW)
    assert (done.file, len(done.versions), done.lacking) == ("datasets-20240501T120000Z.backup", 3, (("lung", 4),))
    assert "passed" in done.in_words()
    assert "not in it: lung version 4" in done.in_words()
    assert tree(store) == before
    (path,) = folder.glob("*.backup")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetBackupError, match="torn"):
        drill(store, folder, PASSPHRASE, at=NOW)


def test_a_version_is_put_back_only_where_none_was(store: DatasetStore, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="never overwritten"):
        store.put_back("lung", 2, tmp_path)
    with pytest.raises(NoSuchDatasetError):
        store.verify("lung", 2)
