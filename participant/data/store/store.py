"""The site's datasets: one folder for each dataset, with one for each of its versions.

    folder/<name>/<version>/    data.parquet, description.json, quality.json, bad-rows.csv, report.html, .md and .csv
    folder/<name>/refused/      report and bad rows of the last refused import

A version is written elsewhere, synced and moved into place, so it exists whole or not at all, and never changes. All
files belong to one user (0600, folders 0700).
"""

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from re import fullmatch
from shutil import rmtree
from stat import S_IMODE
from tempfile import mkdtemp

import numpy as np
from pydantic import ValidationError

from participant.data.model.description import Description
from participant.data.model.errors import (
    DamagedDatasetError,
    DatasetError,
    DatasetNameError,
    InsecureFolderError,
    NoSuchDatasetError,
    NotNumericError,
)
from participant.data.model.private import private
from participant.data.model.quality import NAME as QUALITY
from participant.data.model.quality import Quality
from participant.statistics.evaluation.evaluate import MissingColumnsError
from participant.statistics.language.layout import Array
from participant.statistics.language.query import NAME_PATTERN
from relay.service.folders import sync_folder

DATA = "data.parquet"
DESCRIPTION = "description.json"
REFUSED = "refused"
_UNFINISHED = ".import-"
_ALIVE = ".alive"  # locked by the process that works in the folder


class DatasetStore:
    """The datasets in a folder. Several processes may use one folder.

    Args:
        folder: folder of the datasets, created (0700) if missing.

    Raises:
        InsecureFolderError: other users can read it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if S_IMODE(folder.stat().st_mode) & 0o077:
            raise InsecureFolderError(f"other users can read {folder}; allow only its owner in (chmod 700)")

    @property
    def root(self) -> Path:
        """The folder of all datasets."""
        return self._folder

    def clear(self) -> None:
        """Clear away the leftovers of killed imports."""
        with self._exclusively():
            pass

    def list(self) -> tuple[Description, ...]:
        """Return the newest version of each dataset, by name."""
        names = sorted(entry.name for entry in self._folder.iterdir() if fullmatch(NAME_PATTERN, entry.name))
        return tuple(self.describe(name) for name in names if self.versions(name))

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the existing versions; a dropped one leaves an empty folder.

        Raises:
            DatasetNameError: the name is not valid for a dataset.
        """
        _check_name(name)
        return tuple(
            sorted(int(entry.name) for entry in _numbered(self._folder / name) if (entry / DESCRIPTION).exists())
        )

    def describe(self, name: str, version: int | None = None) -> Description:
        """Return the description of a dataset's version, by default of the newest.

        Raises:
            NoSuchDatasetError: no dataset has that name and version.
            DamagedDatasetError: its description cannot be read.
        """
        folder = self.folder(name, version)
        try:
            description = Description.model_validate_json((folder / DESCRIPTION).read_bytes())
        except (OSError, ValidationError):
            raise DamagedDatasetError(f"the description of {name} version {folder.name} cannot be read") from None
        if (description.name, str(description.version)) != (name, folder.name):
            raise DamagedDatasetError(f"the description of {name} version {folder.name} is that of another dataset")
        return description

    def quality(self, name: str, version: int | None = None) -> Quality | None:
        """Return the figures of a version's import; None if it was imported before there were any.

        Raises:
            NoSuchDatasetError: no dataset has that name and version.
        """
        try:
            return Quality.model_validate_json((self.folder(name, version) / QUALITY).read_bytes())
        except (OSError, ValidationError):
            return None

    def load(self, name: str, columns: Collection[str], version: int | None = None) -> dict[str, Array]:
        """Return columns by name, (rows,) float64, NaN where a value is missing. The stored file is verified first.

        Raises:
            NoSuchDatasetError, DamagedDatasetError: as their names say.
            MissingColumnsError: the dataset lacks a column.
            NotNumericError: a column is a date or text.
        """
        description = self.describe(name, version)
        if missing := set(columns) - {column.name for column in description.columns}:
            raise MissingColumnsError(name, missing)
        if text := set(columns) - set(description.numeric):
            raise NotNumericError(min(text))
        try:
            data = (self._folder / name / str(description.version) / DATA).read_bytes()
        except OSError:
            data = b""
        if sha256(data).hexdigest() != description.data.sha256:
            raise DamagedDatasetError(f"the data of {name} version {description.version} is missing or was changed")
        import polars as pl  # noqa: PLC0415  # listing datasets does without it

        table = pl.read_parquet(BytesIO(data), columns=sorted(set(columns)))
        return {column.name: column.cast(pl.Float64).to_numpy().astype(np.float64) for column in table}

    def verify(self, name: str, version: int | None = None) -> Description:
        """Check that hash, rows, columns, types and missing counts match the description.

        Raises:
            NoSuchDatasetError, DamagedDatasetError: as their names say.
        """
        from participant.data.steps.verify import verify  # noqa: PLC0415  # brings polars

        description = self.describe(name, version)
        verify(self.folder(name, version) / DATA, description)
        return description

    def _none(self, name: str) -> str:
        others = ", ".join(sorted({one.name for one in self.list()}))
        return f"there is no dataset {name}; " + (f"there are: {others}" if others else "import one with: data import")

    def drop(self, name: str, version: int | None = None) -> None:
        """Remove a version of a dataset, by default all of them. Its number is not used again.

        Raises:
            NoSuchDatasetError: no dataset has that name and version.
        """
        with self._exclusively():
            folders = [self.folder(name, one) for one in ((version,) if version else self.versions(name))]
            if not folders:
                raise NoSuchDatasetError(self._none(name))
            for folder in folders:
                # The data go first: after a crash in between, the dataset shows as damaged, and can be dropped again.
                (folder / DATA).unlink(missing_ok=True)
                for rest in folder.iterdir():
                    if rest.name != DESCRIPTION:
                        rest.unlink()
                (folder / DESCRIPTION).unlink()
                sync_folder(folder)
            if not self.versions(name):
                rmtree(self._folder / name / REFUSED, ignore_errors=True)

    @contextmanager
    def unfinished(self, name: str) -> Iterator[Path]:
        """Provide a folder for an import to work in; at the end, remove whatever is left of it.

        Raises:
            DatasetNameError: the name is not valid for a dataset.
        """
        _check_name(name)
        with self._exclusively():
            folder = Path(mkdtemp(prefix=_UNFINISHED, dir=self._folder))
            lock = open(folder / _ALIVE, "ab", opener=private)  # noqa: SIM115 - held until the import ends
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            rmtree(folder, ignore_errors=True)
            lock.close()

    def add(self, description: Description, folder: Path) -> Description:
        """Move a folder with data, description and reports into place as the next version; return its description."""
        name = description.name
        with self._exclusively():
            place = self._folder / name
            version = self.next_version(name)
            described = description.model_copy(update={"version": version})
            with open(folder / DESCRIPTION, "xb", opener=private) as out:
                out.write(described.model_dump_json(indent=2).encode())
            (folder / _ALIVE).unlink(missing_ok=True)
            for file in folder.iterdir():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
            sync_folder(folder)
            place.mkdir(mode=0o700, exist_ok=True)
            folder.rename(place / str(version))
            sync_folder(place)
            sync_folder(self._folder)
        return described

    def next_version(self, name: str) -> int:
        """Return the number that the next version gets, unless another import finishes first."""
        return max((int(entry.name) for entry in _numbered(self._folder / name)), default=0) + 1

    def snapshot(self, folder: Path) -> tuple[tuple[str, int], ...]:
        """Link all versions into a folder on the same disk, and return their names and numbers.

        Versions never change, so the links show what is there at this moment, even if some are dropped later.
        """
        with self._exclusively():
            found = tuple((one.name, version) for one in self.list() for version in self.versions(one.name))
            for name, version in found:
                place = folder / name / str(version)
                place.mkdir(mode=0o700, parents=True)
                for file in (self._folder / name / str(version)).iterdir():
                    (place / file.name).hardlink_to(file)
        return found

    def dropped(self) -> dict[str, tuple[int, ...]]:
        """Return the numbers of dropped versions, by dataset."""
        found = {}
        for folder in sorted(self._folder.iterdir()):
            if fullmatch(NAME_PATTERN, folder.name):
                used = {int(entry.name) for entry in _numbered(folder)}
                if gone := used.difference(self.versions(folder.name)):
                    found[folder.name] = tuple(sorted(gone))
        return found

    def reserve(self, name: str, versions: Collection[int]) -> None:
        """Keep the numbers of dropped versions from being used again, unless they are in use."""
        _check_name(name)
        with self._exclusively():
            for version in versions:
                (self._folder / name / str(version)).mkdir(mode=0o700, parents=True, exist_ok=True)

    def put_back(self, name: str, version: int, folder: Path) -> None:
        """Move the folder of a version, as it once was, into its place.

        Raises:
            DatasetError: the number has been used here, even if the version was dropped.
        """
        with self._exclusively():
            place = self._folder / name / str(version)
            if place.exists():
                raise DatasetError(f"{name} version {version} exists or was dropped here; it is never overwritten")
            sync_folder(folder)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            folder.rename(place)
            sync_folder(place.parent)
            sync_folder(self._folder)

    def refuse(self, name: str, folder: Path) -> Path:
        """Keep a refused import's reports in place of any earlier ones, and return their folder."""
        with self._exclusively():
            place = self._folder / name / REFUSED
            place.parent.mkdir(mode=0o700, exist_ok=True)
            rmtree(place, ignore_errors=True)
            (folder / _ALIVE).unlink(missing_ok=True)
            folder.rename(place)
        return place

    def folder(self, name: str, version: int | None = None) -> Path:
        """Return the folder of a version, by default of the newest.

        Raises:
            NoSuchDatasetError: no dataset has that name and version.
        """
        versions = self.versions(name)
        if not versions:
            raise NoSuchDatasetError(self._none(name))
        if version is not None and version not in versions:
            raise NoSuchDatasetError(f"there is no version {version} of dataset {name}")
        return self._folder / name / str(version or max(versions))

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Let one process at a time change the folder, and clear away the leftovers of killed imports."""
        with open(self._folder / ".lock", "ab", opener=private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in self._folder.glob(f"{_UNFINISHED}*"):
                if not _lives(leftover):
                    rmtree(leftover, ignore_errors=True)
            yield


def _check_name(name: str) -> None:
    if not fullmatch(NAME_PATTERN, name):
        raise DatasetNameError("a dataset's name is a letter, then up to 63 letters, digits and . _ -")


def _numbered(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if fullmatch("[1-9][0-9]{0,8}", entry.name))


def _lives(folder: Path) -> bool:
    """Return whether a process is working in an import's folder."""
    try:
        with open(folder / _ALIVE, "ab", opener=private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
