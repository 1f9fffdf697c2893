"""A restore drill: restores a backup into an empty store, verifies every version there, and removes it again."""

from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from participant.data.store.backup import Version, newest, restore
from participant.data.store.store import DatasetStore


class Drill(NamedTuple):
    """The report of a drill.

    Attributes:
        file: name of the backup.
        bytes: its size.
        made, drilled: times of the backup and of the drill.
        seconds: duration of the restore.
        versions: versions that were restored and verified.
        lacking: versions here that the backup lacks, as (name, version).
    """

    file: str
    bytes: int
    made: datetime
    drilled: datetime
    seconds: float
    versions: tuple[Version, ...]
    lacking: tuple[tuple[str, int], ...]

    def in_words(self) -> str:
        """Return the report, for people and for the file of drills."""
        lacking = ", ".join(f"{name} version {version}" for name, version in self.lacking)
        lines = [
            f"Restore drill of {self.drilled:%Y-%m-%d %H:%M} UTC: passed",
            f"backup {self.file}, {self.bytes:,} bytes, made {self.made.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            f"{len(self.versions)} versions restored into an empty folder and verified in {self.seconds:.1f} s:",
            *(f"  {one.name} version {one.version}: {one.rows:,} rows, SHA-256 {one.sha256}" for one in self.versions),
            f"imported since the backup, and not in it: {lacking}" if lacking else "the backup holds all that is here",
        ]
        return "\n".join(lines)


def drill(datasets: DatasetStore, place: Path, passphrase: str, *, at: datetime) -> Drill:
    """Restore a backup, or the newest one in a folder, into an empty store, verify it there, and remove it.

    Raises:
        DatasetBackupError, DamagedDatasetError: the backup cannot be restored.
    """
    path = newest(place)
    start = monotonic()
    with datasets.unfinished("drill") as work:
        store = DatasetStore(work / "restored")
        done = restore(store, path, passphrase)
        for one in done.restored:
            store.verify(one.name, one.version)
    held = {(one.name, one.version) for one in done.restored}
    here = {(one.name, version) for one in datasets.list() for version in datasets.versions(one.name)}
    return Drill(
        path.name,
        path.stat().st_size,
        done.manifest.made,
        at,
        monotonic() - start,
        done.restored,
        tuple(sorted(here - held)),
    )
