"""The site's datasets: a folder with a folder for each dataset and one for each of its versions.

    folder/<name>/<version>/data.parquet, description.json

A version is written aside, synced and moved into place, so it is there whole or not at all, and is never changed. All
files belong to one user (0600, folders 0700).
"""

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import file_digest, sha256
from io import BufferedWriter, BytesIO
from pathlib import Path
from re import fullmatch
from shutil import rmtree
from stat import S_IMODE
from tempfile import mkdtemp

import numpy as np
import polars as pl
from pydantic import ValidationError

from participant.data.columns import kind, typed
from participant.data.csv_source import Source, read_csv
from participant.data.description import Column, Description, File
from participant.data.errors import (
    DamagedDatasetError,
    DatasetNameError,
    InsecureFolderError,
    NoSuchDatasetError,
    NotNumericError,
)
from participant.statistics import MissingColumnsError
from participant.statistics.layout import Array
from participant.statistics.query import NAME_PATTERN

DATA = "data.parquet"
DESCRIPTION = "description.json"
DEFAULT_MISSING = ("NA",)
_UNFINISHED = ".import-"


class DatasetStore:
    """The datasets in a folder. Several processes may use one folder.

    Args:
        folder: created (0700) if it is not there.

    Raises:
        InsecureFolderError: other users may look into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if S_IMODE(folder.stat().st_mode) & 0o077:
            raise InsecureFolderError(f"other users can read {folder}; allow only its owner in (chmod 700)")

    def import_csv(
        self,
        name: str,
        path: Path,
        *,
        imported_at: datetime,
        separator: str = ",",
        missing: Collection[str] = DEFAULT_MISSING,
        numeric: Collection[str] = (),
    ) -> Description:
        """Import a CSV file as the next version of a dataset.

        Args:
            name: of the dataset: a letter, then up to 63 letters, digits and ``. _ -``.
            path: the file: UTF-8, a header, one line a row.
            imported_at: the time, with its zone.
            separator: between cells.
            missing: codes of missing values; an empty cell always is one.
            numeric: columns that must be numeric.

        Raises:
            DatasetNameError, SourceError, HeaderError, NotNumericError, MissingColumnsError: as they say; nothing was
                stored.
        """
        _check_name(name)
        source = read_csv(path, separator=separator)
        table = typed(source.cells, dataset=name, missing=missing, numeric=numeric)
        with self._exclusively():
            return self._store(name, table, source, path.name, imported_at)

    def list(self) -> tuple[Description, ...]:
        """Return the newest version of each dataset, by name."""
        names = sorted(entry.name for entry in self._folder.iterdir() if fullmatch(NAME_PATTERN, entry.name))
        return tuple(self.describe(name) for name in names if self._versions(name))

    def describe(self, name: str, version: int | None = None) -> Description:
        """Return what is known about a dataset, by default about its newest version.

        Raises:
            NoSuchDatasetError: there is none of that name and version.
            DamagedDatasetError: its description cannot be read.
        """
        folder = self._find(name, version)
        try:
            description = Description.model_validate_json((folder / DESCRIPTION).read_bytes())
        except (OSError, ValidationError):
            raise DamagedDatasetError(f"the description of {name} version {folder.name} cannot be read") from None
        if (description.name, str(description.version)) != (name, folder.name):
            raise DamagedDatasetError(f"the description of {name} version {folder.name} is that of another dataset")
        return description

    def load(self, name: str, columns: Collection[str], version: int | None = None) -> dict[str, Array]:
        """Return columns as (rows,) float64, NaN where a value is missing. What is stored is verified first.

        Raises:
            NoSuchDatasetError, DamagedDatasetError: as they say.
            MissingColumnsError: the dataset lacks a column.
            NotNumericError: a column is text.
        """
        description = self.describe(name, version)
        if missing := set(columns) - {column.name for column in description.columns}:
            raise MissingColumnsError(name, missing)
        if text := set(columns) - set(description.numeric):
            raise NotNumericError(min(text))
        data = self._verified(description)
        table = pl.read_parquet(BytesIO(data), columns=sorted(set(columns)))
        return {column.name: column.cast(pl.Float64).to_numpy().astype(np.float64) for column in table}

    def verify(self, name: str, version: int | None = None) -> Description:
        """Check that hash, rows, columns, types and missing counts are those of the import.

        Raises:
            NoSuchDatasetError, DamagedDatasetError: as they say.
        """
        description = self.describe(name, version)
        table = pl.read_parquet(BytesIO(self._verified(description)))
        if (table.height, _columns_of(table)) != (description.rows, description.columns):
            raise DamagedDatasetError(f"the data of {name} version {description.version} is not what is described")
        return description

    def drop(self, name: str, version: int | None = None) -> None:
        """Remove a version of a dataset, by default all of them. Its number is not used again.

        Raises:
            NoSuchDatasetError: there is none of that name and version.
        """
        with self._exclusively():
            folders = [self._find(name, version)] if version else [self._find(name, v) for v in self._versions(name)]
            if not folders:
                raise NoSuchDatasetError(f"there is no dataset {name}")
            for folder in folders:
                # The data first: after a crash in between the dataset shows as damaged, and can be dropped again.
                (folder / DATA).unlink(missing_ok=True)
                (folder / DESCRIPTION).unlink()
                _sync(folder)

    def _store(self, name: str, table: pl.DataFrame, source: Source, file: str, imported_at: datetime) -> Description:
        folder = self._folder / name
        version = max((int(entry.name) for entry in _numbered(folder)), default=0) + 1
        unfinished = Path(mkdtemp(prefix=_UNFINISHED, dir=self._folder))
        try:
            data = _write_table(unfinished / DATA, table)
            description = Description(
                name=name,
                version=version,
                rows=table.height,
                columns=_columns_of(table),
                source=File(name=file, bytes=source.bytes, sha256=source.sha256),
                data=data,
                imported_at=imported_at,
            )
            with _new_file(unfinished / DESCRIPTION) as out:
                out.write(description.model_dump_json(indent=2).encode())
            _sync(unfinished)
            folder.mkdir(mode=0o700, exist_ok=True)
            unfinished.rename(folder / str(version))
            _sync(folder)
            _sync(self._folder)
        finally:
            rmtree(unfinished, ignore_errors=True)
        return description

    def _verified(self, description: Description) -> bytes:
        """Return the bytes of the Parquet file after comparing their hash."""
        try:
            data = (self._folder / description.name / str(description.version) / DATA).read_bytes()
        except OSError:
            data = b""
        if sha256(data).hexdigest() != description.data.sha256:
            raise DamagedDatasetError(
                f"the data of {description.name} version {description.version} is missing or was changed"
            )
        return data

    def _find(self, name: str, version: int | None) -> Path:
        _check_name(name)
        versions = self._versions(name)
        if not versions:
            raise NoSuchDatasetError(f"there is no dataset {name}")
        if version is not None and version not in versions:
            raise NoSuchDatasetError(f"there is no version {version} of dataset {name}")
        return self._folder / name / str(version or max(versions))

    def _versions(self, name: str) -> tuple[int, ...]:
        """Return the versions that are there; a dropped one leaves an empty folder."""
        return tuple(
            sorted(int(entry.name) for entry in _numbered(self._folder / name) if (entry / DESCRIPTION).exists())
        )

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Let one process change the folder at a time, and clear what an import that was killed has left."""
        with open(self._folder / ".lock", "ab", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in self._folder.glob(f"{_UNFINISHED}*"):
                rmtree(leftover, ignore_errors=True)
            yield


def _check_name(name: str) -> None:
    if not fullmatch(NAME_PATTERN, name):
        raise DatasetNameError("a dataset's name is a letter, then up to 63 letters, digits and . _ -")


def _numbered(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if fullmatch("[1-9][0-9]{0,8}", entry.name))


def _columns_of(table: pl.DataFrame) -> tuple[Column, ...]:
    return tuple(Column(name=column.name, kind=kind(column), missing=column.null_count()) for column in table)


def _write_table(path: Path, table: pl.DataFrame) -> File:
    with _new_file(path) as out:
        table.write_parquet(out)
    with path.open("rb") as written:
        return File(name=path.name, bytes=path.stat().st_size, sha256=file_digest(written, "sha256").hexdigest())


@contextmanager
def _new_file(path: Path) -> Iterator[BufferedWriter]:
    with open(path, "xb", opener=_private) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _sync(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
