"""Verify: check a stored file's hash, rows, columns, types and missing values against its description."""

from hashlib import file_digest
from pathlib import Path

import polars as pl

from participant.data.model.description import ColumnKind, Description
from participant.data.model.errors import DamagedDatasetError

_STORED: dict[ColumnKind, tuple[type[pl.DataType], ...]] = {
    ColumnKind.INTEGER: (pl.Int8, pl.Int16, pl.Int32, pl.Int64),
    ColumnKind.CATEGORY: (pl.Int8, pl.Int16, pl.Int32, pl.Int64),
    ColumnKind.REAL: (pl.Float64,),
    ColumnKind.BOOLEAN: (pl.Boolean,),
    ColumnKind.DATE: (pl.Date,),
    ColumnKind.TEXT: (pl.String,),
}


def verify(path: Path, description: Description) -> None:
    """Check a stored table against its description.

    Raises:
        DamagedDatasetError: the stored data do not match their description.
    """
    place = f"{description.name} version {description.version}"
    try:
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
    except OSError:
        digest = ""
    if digest != description.data.sha256:
        raise DamagedDatasetError(f"the data of {place} is missing or was changed")
    frame = pl.scan_parquet(path, glob=False)
    schema = frame.collect_schema()
    expected = {column.name: column for column in description.columns}
    counts = frame.select(pl.len().alias("#"), pl.all().null_count()).collect(engine="streaming").row(0, named=True)
    if (
        schema.names() != list(expected)
        or counts["#"] != description.rows
        or any(counts[name] != column.missing for name, column in expected.items())
        or any(schema[name].base_type() not in _STORED[column.kind] for name, column in expected.items())
    ):
        raise DamagedDatasetError(f"the stored data of {place} do not match their description")
