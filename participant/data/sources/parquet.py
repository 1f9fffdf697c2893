"""A Parquet file of flat columns.

Its footer can claim anything, so it is checked before the library reads it: its length bounds the columns, and nested
types are refused. Rows are read in batches, each column in the type that the file gives it.
"""

from collections.abc import Iterator, Mapping
from hashlib import file_digest
from pathlib import Path

import polars as pl

from participant.data.model.errors import SourceError
from participant.data.sources import Batch, Origin, SourceColumn, batch_rows, check_columns, check_file, check_rows
from participant.data.sources.typed import TypedColumns

MAX_FOOTER_BYTES = 16 << 20
_MAGIC = b"PAR1"


class ParquetSource:
    """A Parquet file. Raises SourceError if it is not one, or holds lists, structures or bytes."""

    decimal = None
    size = None

    def __init__(self, path: Path) -> None:
        check_file(path)
        self._path = path
        _check_footer(path)
        try:
            self._frame = pl.scan_parquet(path, glob=False)
            schema = self._frame.collect_schema()
            rows = self._frame.select(pl.len()).collect().item()  # read from the footer
        except pl.exceptions.PolarsError:
            raise SourceError(f"{path.name} is not a Parquet file that can be read") from None
        self._header = tuple(schema.names())
        check_columns(len(self._header))
        check_rows(rows)
        self._typed = TypedColumns(schema, path.name)

    @property
    def header(self) -> tuple[str, ...]:
        return self._header

    def batches(self) -> Iterator[Batch]:
        first = 1
        try:
            for table in self._frame.collect_batches(
                chunk_size=batch_rows(len(self._header)), maintain_order=True, lazy=True
            ):
                cells, numbers = self._typed.plain(table.get_columns())
                lines = pl.int_range(first, first + cells.height, dtype=pl.Int64, eager=True)
                first += cells.height
                yield Batch(lines, cells, (), first - 1, numbers)
        except pl.exceptions.PolarsError:
            raise SourceError(f"{self._path.name} is damaged: not all of its rows can be read") from None

    def known(self) -> Mapping[int, SourceColumn]:
        return self._typed.known()

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
        raise SourceError(f"{path.name} is not a Parquet file")
    footer = int.from_bytes(tail[:4], "little")
    if footer > min(MAX_FOOTER_BYTES, size):
        raise SourceError(f"the description inside {path.name} is longer than {MAX_FOOTER_BYTES >> 20} MiB, or torn")
