"""Which source a place means: a file by the end of its name, a database by its address."""

from dataclasses import dataclass
from pathlib import Path

from participant.data.model.errors import SourceError
from participant.data.sources import TableSource

_TEXT = {".csv", ".tsv", ".tab", ".txt"}
_PARQUET = {".parquet", ".pq"}
_EXCEL = {".xlsx", ".xlsm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a source is read; each belongs to some kinds of sources and is refused by the others."""

    separator: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    table: str | None = None
    query: str | None = None
    collection: str | None = None


def open_source(place: str, options: Options) -> TableSource:
    """Return the source that a file's path or a database's address means.

    Raises:
        SourceError: it is of no known kind, an option does not belong to it, or it cannot be read.
    """
    if place.startswith(("mongodb://", "mongodb+srv://")):
        from participant.data.sources.mongo import MongoSource  # noqa: PLC0415 - only what is needed is loaded

        _only(options, "collection")
        return MongoSource.connect(place, options.collection or "")
    if "://" in place:
        from participant.data.sources.sql import SqlSource  # noqa: PLC0415

        _only(options, "table", "query")
        return SqlSource(place, table=options.table, query=options.query)
    path = Path(place)
    suffix = path.suffix.lower()
    if suffix in _TEXT:
        from participant.data.sources.csv import CsvSource  # noqa: PLC0415

        _only(options, "separator", "encoding")
        return CsvSource(path, separator=options.separator, encoding=options.encoding)
    if suffix in _PARQUET:
        from participant.data.sources.parquet import ParquetSource  # noqa: PLC0415

        _only(options)
        return ParquetSource(path)
    if suffix in _EXCEL:
        from participant.data.sources.excel import ExcelSource  # noqa: PLC0415

        _only(options, "sheet")
        return ExcelSource(path, sheet=options.sheet)
    known = ", ".join(sorted(_TEXT | _PARQUET | _EXCEL))
    raise SourceError(f"a table is a file that ends in {known}, or the address of a database such as postgresql://...")


def _only(options: Options, *allowed: str) -> None:
    given = [name for name in Options.__slots__ if getattr(options, name) is not None]
    if odd := sorted(set(given) - set(allowed)):
        raise SourceError(f"--{odd[0]} does not belong to this kind of source")
