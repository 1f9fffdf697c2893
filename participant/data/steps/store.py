"""Store: write all parts as one Parquet file, each column in the smallest type that holds its values."""

from collections.abc import Iterator, Sequence
from hashlib import file_digest
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from participant.data.model.description import Column, DataFile
from participant.data.model.private import private

_INTEGERS = ((pl.Int8, 7), (pl.Int16, 15), (pl.Int32, 31))


def store(parts: Sequence[Path], path: Path) -> int:
    """Write typed parts as one file, batch by batch, and return the number of rows; write no file if there are none."""
    if not parts:
        return 0
    table = scan(parts)
    spans = table.select(
        pl.len().alias("#"), pl.col(pl.Int64).min().name.suffix("<"), pl.col(pl.Int64).max().name.suffix(">")
    )
    ends = spans.collect(engine="streaming").row(0, named=True)
    if not ends["#"]:
        return 0
    kinds = pl.Schema(
        {
            name: _smallest(ends[f"{name}<"], ends[f"{name}>"]) if kind == pl.Int64 else kind
            for name, kind in table.collect_schema().items()
        }
    )
    with open(path, "xb", opener=private) as out:
        table.cast(kinds).sink_parquet(out, compression="zstd", compression_level=1, row_group_size=1 << 18)
    return int(ends["#"])


def scan(parts: Sequence[Path]) -> pl.LazyFrame:
    """Return the table in these parts, of which one at a time is in memory; mapped files would count as memory too."""

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        left = rows
        for part in parts:
            table = pl.read_ipc(part.read_bytes(), columns=columns)
            table = table if left is None else table.head(left)
            left = None if left is None else left - table.height
            yield table if predicate is None else table.filter(predicate)

    return register_io_source(read, schema=pl.read_ipc_schema(parts[0]))


def counted(path: Path, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns with their numbers of missing values in the stored file."""
    missing = pl.scan_parquet(path, glob=False).select(pl.all().null_count()).collect(engine="streaming")
    counts = missing.row(0, named=True)
    return tuple(column.model_copy(update={"missing": counts[column.name]}) for column in columns)


def file_of(path: Path) -> DataFile:
    """Return name, size and hash of a file."""
    with path.open("rb") as written:
        return DataFile(name=path.name, bytes=path.stat().st_size, sha256=file_digest(written, "sha256").hexdigest())


def _smallest(low: int | None, high: int | None) -> type[pl.DataType]:
    for kind, bits in _INTEGERS:
        if -(2**bits) <= (low or 0) and (high or 0) < 2**bits:
            return kind
    return pl.Int64
