"""A Parquet file of flat columns.

Its footer can claim anything, so it is looked at before the library reads it: its length bounds the columns, and nested
types are refused. Rows are read in batches.
"""

from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path

import polars as pl

from participant.data.model.errors import SourceError
from participant.data.sources import Batch, Origin, batch_rows, check_columns, check_file, check_rows, positions

MAX_FOOTER_BYTES = 16 << 20
_MAGIC = b"PAR1"


class ParquetSource:
    """A Parquet file. Raises SourceError where it is none, or holds lists, structures or bytes."""

    def __init__(self, path: Path) -> None:
        check_file(path)
        self._path = path
        _check_footer(path)
        try:
            self._frame = pl.scan_parquet(path, glob=False)
            schema = self._frame.collect_schema()
            rows = self._frame.select(pl.len()).collect().item()  # of the footer
        except pl.exceptions.PolarsError:
            raise SourceError(f"{path.name} is no Parquet file that can be read") from None
        self._header = tuple(schema.names())
        check_columns(len(self._header))
        check_rows(rows)
        if odd := [name for name, kind in schema.items() if kind.is_nested() or kind in (pl.Binary, pl.Object)]:
            raise SourceError(f"{len(odd)} columns of {path.name} hold lists, structures or bytes; flatten it first")

    @property
    def header(self) -> tuple[str, ...]:
        return self._header

    @property
    def size(self) -> None:
        return None

    def batches(self) -> Iterator[Batch]:
        names, first = positions(len(self._header)), 1
        frame = self._frame.select(pl.all().cast(pl.String)).rename(dict(zip(self._header, names, strict=True)))
        try:
            for cells in frame.collect_batches(chunk_size=batch_rows(len(names)), maintain_order=True, lazy=True):
                lines = pl.int_range(first, first + cells.height, dtype=pl.Int64, eager=True)
                first += cells.height
                yield Batch(lines, cells, (), first - 1)
        except pl.exceptions.PolarsError:
            raise SourceError(f"{self._path.name} is damaged: not all of its rows can be read") from None

    def origin(self) -> Origin:
        with self._path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        return Origin("parquet", self._path.name, self._path.stat().st_size, digest)


def _check_footer(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, size - 8))
        tail = file.read(8)
    if head != _MAGIC or tail[4:] != _MAGIC or size < 12:
        raise SourceError(f"{path.name} is no Parquet file")
    footer = int.from_bytes(tail[:4], "little")
    if footer > min(MAX_FOOTER_BYTES, size):
        raise SourceError(f"the description inside {path.name} is longer than {MAX_FOOTER_BYTES >> 20} MiB, or torn")
