"""Exports a dataset version as a CSV file, compared with the stored data before it gets its final name."""

import os
import secrets
from pathlib import Path
from typing import NamedTuple

import polars as pl

from participant.data.model.errors import DatasetError
from participant.data.model.private import private
from participant.data.steps.store import file_of
from participant.data.store.store import DATA, DatasetStore
from relay.service.folders import sync_folder


class Exported(NamedTuple):
    """An exported file: path, version of the dataset, number of rows and bytes, and SHA-256."""

    path: Path
    version: int
    rows: int
    bytes: int
    sha256: str


def export_csv(datasets: DatasetStore, name: str, place: Path, version: int | None = None) -> Exported:
    """Write a version of a dataset as CSV: UTF-8, commas, a decimal point, dates as 2020-01-31, missing values empty.

    Args:
        datasets: store of the dataset.
        name: name of the dataset.
        place: file, or a folder in which it is called `cleaned_NAME_VERSION.csv`. Only its owner can read it.
        version: version of the dataset; by default the newest.

    Raises:
        NoSuchDatasetError, DamagedDatasetError: as their names say.
        DatasetError: the file exists, or what was written differs from what is stored.
    """
    described = datasets.verify(name, version)
    path = place / f"cleaned_{name}_{described.version}.csv" if place.is_dir() else place
    if path.exists():
        raise DatasetError(f"{path} is there already; remove it, or name another file")
    stored = pl.scan_parquet(datasets.folder(name, described.version) / DATA, glob=False)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with open(part, "xb", opener=private) as out:
            stored.sink_csv(out)
            out.flush()
            os.fsync(out.fileno())
        written = pl.scan_csv(part, schema=stored.collect_schema(), glob=False)
        seed = secrets.randbits(63)
        if _print(written, seed) != _print(stored, seed):
            raise DatasetError(f"what was written to {part.name} is not what is stored; nothing was exported")
        part.rename(path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
    facts = file_of(path)
    return Exported(path, described.version, described.rows, facts.bytes or 0, facts.sha256 or "")


def _print(table: pl.LazyFrame, seed: int) -> tuple[object, ...]:
    """Return a table's fingerprint: number of rows, missing values, and a hash of its numbered rows."""
    numbered = table.with_row_index("#")
    facts = numbered.select(
        pl.len().alias("rows"),
        pl.exclude("#").null_count(),
        pl.struct(pl.all()).hash(seed).cast(pl.UInt64).bitwise_xor().alias("xor"),
    )
    return facts.collect(engine="streaming").row(0)
