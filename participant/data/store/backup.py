"""Backs up datasets into one sealed file, and restores them from it: all that was verified, or nothing.

A backup is a tar archive in a sealed stream: `NAME/VERSION/FILE` for each file of each version, and at the end
`manifest.json` with the hash of each. It gets its name only after it was read again from the disk. A restore unpacks
and verifies everything in a folder of its own before it moves the first version into place, and moves no version
whose number has been used here: what exists stays as it is, and what was dropped stays dropped.
"""

import fcntl
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from re import fullmatch
from typing import BinaryIO, Literal, NamedTuple, cast

from pydantic import AwareDatetime, ValidationError

from participant.data.model.errors import DamagedDatasetError, DatasetError, some
from participant.data.model.private import private
from participant.data.store.store import DatasetStore
from participant.statistics.language.query import NAME_PATTERN, Strict
from relay.party.sealed import WrongPassphraseError
from relay.party.sealed_stream import SealedReader, SealedWriter
from relay.service.folders import private_folder, sync_folder

NAME = "datasets-%Y%m%dT%H%M%SZ.backup"
_NAMES = "datasets-*.backup"
_UNFINISHED = ".datasets-*.part"
_MANIFEST = "manifest.json"
_MAX_MANIFEST = 64 << 20
_PIECE = 1 << 20
_MEMBER = NAME_PATTERN.removesuffix("$") + "/[1-9][0-9]{0,8}/[a-z][a-z.-]{0,62}"


class DatasetBackupError(DatasetError):
    """The backup cannot be made or used; nothing was changed."""


class Version(Strict):
    """A version of a dataset in a backup."""

    name: str
    version: int
    rows: int
    sha256: str


class DatasetManifest(Strict):
    """The contents of a backup.

    Attributes:
        format: version of this format.
        made: time of the backup.
        versions: versions of datasets.
        dropped: by dataset, the numbers of versions that had been dropped.
        files: SHA-256 of each file, by its place.
    """

    format: Literal[1] = 1
    made: AwareDatetime
    versions: tuple[Version, ...]
    dropped: dict[str, tuple[int, ...]]
    files: dict[str, str]


class Made(NamedTuple):
    """A backup that was made and read again: its file, size and contents, and the names of expired backups."""

    path: Path
    bytes: int
    manifest: DatasetManifest
    removed: tuple[str, ...]


class Restored(NamedTuple):
    """The outcome of a restore.

    Attributes:
        manifest: contents of the backup, all verified.
        restored: versions that were moved into place.
        there: versions that exist here already.
        dropped: versions that were dropped here since the backup, and stay dropped.
    """

    manifest: DatasetManifest
    restored: tuple[Version, ...]
    there: tuple[Version, ...]
    dropped: tuple[Version, ...]


def make(datasets: DatasetStore, folder: Path, passphrase: str, *, made: datetime, keep: int) -> Made:
    """Back up all versions of all datasets into a new file, read it again, and only then remove expired backups.

    Args:
        datasets: store of the datasets.
        folder: folder that collects backups.
        passphrase: passphrase to seal under.
        made: the time.
        keep: number of backups to keep.

    Raises:
        DamagedDatasetError: a version is not as it was imported.
        DatasetBackupError: another backup is being made, or the file does not hold what was written.
    """
    with _alone(private_folder(folder)):
        path = folder / made.astimezone(UTC).strftime(NAME)
        if path.exists():
            raise DatasetBackupError(f"{path} exists; a backup never overwrites another")
        part = folder / f".{path.stem}.part"
        try:
            with open(part, "xb", opener=private) as out, datasets.unfinished("backup") as work:
                _write(datasets, work, SealedWriter(out, passphrase), made)
                out.flush()
                os.fsync(out.fileno())
            manifest = read(part, passphrase)
            part.rename(path)
            sync_folder(folder)
        finally:
            part.unlink(missing_ok=True)
        expired = sorted(folder.glob(_NAMES))[:-keep]
        for old in expired:
            old.unlink()
    return Made(path, path.stat().st_size, manifest, tuple(one.name for one in expired))


def newest(place: Path) -> Path:
    """Return a backup, or the newest one in a folder.

    Raises:
        DatasetBackupError: there is none.
    """
    if place.is_file():
        return place
    found = sorted(place.glob(_NAMES)) if place.is_dir() else []
    if not found:
        raise DatasetBackupError(f"there is no backup of datasets at {place}")
    return found[-1]


def read(path: Path, passphrase: str) -> DatasetManifest:
    """Read a backup to its end, check each file against its hash, and keep nothing.

    Raises:
        DatasetBackupError: the passphrase is wrong, or the backup is torn or was changed.
    """
    return _unpacked(path, passphrase, None)


def restore(datasets: DatasetStore, path: Path, passphrase: str, *, verify_only: bool = False) -> Restored:
    """Unpack and verify a whole backup, and then move its versions into place, unless only verified.

    Raises:
        DatasetBackupError: the passphrase is wrong, the backup is torn or changed, or a version here differs.
        DamagedDatasetError: a version in it is not as it was imported.
    """
    with datasets.unfinished("restore") as work:
        unpacked = work / "unpacked"
        manifest = _unpacked(path, passphrase, unpacked)
        shadow = DatasetStore(unpacked)
        for one in manifest.versions:
            described = shadow.verify(one.name, one.version)
            if (described.rows, described.data.sha256) != (one.rows, one.sha256):
                raise DatasetBackupError(
                    f"{path.name}: {one.name} version {one.version} is not the one in its manifest"
                )
        there = tuple(one for one in manifest.versions if one.version in datasets.versions(one.name))
        if odd := [one for one in there if datasets.describe(one.name, one.version).data.sha256 != one.sha256]:
            told = some([f"{one.name} version {one.version}" for one in odd])
            raise DatasetBackupError(f"here, {told} is another table than in {path.name}; nothing was restored")
        gone = datasets.dropped()
        dropped = tuple(one for one in manifest.versions if one.version in gone.get(one.name, ()))
        absent = tuple(one for one in manifest.versions if one not in there and one not in dropped)
        for one in () if verify_only else absent:
            datasets.put_back(one.name, one.version, unpacked / one.name / str(one.version))
        for name, versions in () if verify_only else manifest.dropped.items():
            datasets.reserve(name, versions)
    return Restored(manifest, () if verify_only else absent, there, dropped)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one backup at a time use the folder, and clear away the leftovers of killed ones."""
    with open(folder / ".lock", "ab", opener=private) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetBackupError(f"another backup is being written to {folder}; try again later") from None
        for leftover in folder.glob(_UNFINISHED):
            leftover.unlink()
        yield


def _write(datasets: DatasetStore, work: Path, out: SealedWriter, made: datetime) -> None:
    versions, files = [], {}
    with tarfile.open(fileobj=cast("BinaryIO", out), mode="w|", format=tarfile.PAX_FORMAT, bufsize=_PIECE) as archive:
        for name, version in datasets.snapshot(work):
            described = datasets.describe(name, version)
            for file in sorted((work / name / str(version)).iterdir()):
                place = f"{name}/{version}/{file.name}"
                files[place] = _add(archive, place, file)
            if files[f"{name}/{version}/{described.data.name}"] != described.data.sha256:
                raise DamagedDatasetError(
                    f"the data of {name} version {version} were changed, so no backup was made: drop this version "
                    "and import it again, or restore it from an earlier backup on another machine"
                )
            versions.append(Version(name=name, version=version, rows=described.rows, sha256=described.data.sha256))
        if not versions:
            raise DatasetBackupError("there are no datasets to back up; earlier backups stay as they are")
        manifest = DatasetManifest(made=made, versions=tuple(versions), dropped=datasets.dropped(), files=files)
        content = manifest.model_dump_json().encode()
        head = tarfile.TarInfo(_MANIFEST)
        head.size = len(content)
        archive.addfile(head, BytesIO(content))
    out.finish()


def _add(archive: tarfile.TarFile, place: str, file: Path) -> str:
    """Add a file to the archive, and return its hash."""
    head = tarfile.TarInfo(place)
    head.size = file.stat().st_size
    with file.open("rb") as opened:
        content = _Hashing(opened)
        archive.addfile(head, cast("BinaryIO", content))
    return content.digest.hexdigest()


class _Hashing:
    """A file that hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.digest.update(piece)
        return piece


def _unpacked(path: Path, passphrase: str, folder: Path | None) -> DatasetManifest:
    """Check each file of a backup against its manifest, and keep them in the folder, if one is given."""
    try:
        with path.open("rb") as file:
            sealed = SealedReader(file, passphrase)
            found, manifest = _members(sealed, folder)
            sealed.finish()
    except WrongPassphraseError as error:
        raise DatasetBackupError(f"{path.name}: {error}") from None
    except (OSError, tarfile.TarError, ValidationError, ValueError) as error:
        raise DatasetBackupError(f"{path.name} is not a backup of datasets ({type(error).__name__})") from None
    if manifest is None or found != manifest.files:
        raise DatasetBackupError(f"{path.name} does not hold the files that its manifest names")
    return manifest


def _members(sealed: SealedReader, folder: Path | None) -> tuple[Mapping[str, str], DatasetManifest | None]:
    found: dict[str, str] = {}
    manifest = None
    with tarfile.open(fileobj=cast("BinaryIO", sealed), mode="r|", bufsize=_PIECE) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is None or manifest is not None:
                raise ValueError("something that no backup holds")
            if member.name == _MANIFEST and member.size <= _MAX_MANIFEST:
                manifest = DatasetManifest.model_validate_json(content.read())
            elif fullmatch(_MEMBER, member.name):
                found[member.name] = _copied(cast("BinaryIO", content), folder and folder / member.name)
            else:
                raise ValueError("a name that no backup holds")
    return found, manifest


def _copied(content: BinaryIO, place: Path | None) -> str:
    """Return the hash of a member, and keep it at its place, if there is one."""
    digest = sha256()
    if place is None:
        while piece := content.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest()
    for folder in (place.parent.parent.parent, place.parent.parent, place.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    with open(place, "xb", opener=private) as out:
        while piece := content.read(_PIECE):
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()
