"""Chooses the source: a database by its address, a file by its content, whatever its name."""

from dataclasses import dataclass
from pathlib import Path

from participant.data.model.errors import SourceError
from participant.data.sources import TableSource, check_file
from participant.data.sources.content import Content, content_of

KNOWN = (
    ".csv .tsv .txt (also .gz .bz2 .xz .zst .zip), .parquet, .xlsx .xlsm .xlsb .xls .ods, .sas7bdat .xpt, "
    ".sav .zsav .por, .dta"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options for reading a source; each applies to some kinds of sources and is refused by the others."""

    separator: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    table: str | None = None
    query: str | None = None
    collection: str | None = None


def open_source(place: str, options: Options | None = None) -> TableSource:
    """Return the source for a file's path or a database's address.

    Raises:
        SourceError: its kind is unknown, an option does not apply to it, or it cannot be read.
    """
    options = options or Options()
    if place.startswith(("mongodb://", "mongodb+srv://")):
        from participant.data.sources.mongo import MongoSource  # noqa: PLC0415 - only what is needed is loaded

        _only(options, "collection")
        return MongoSource.connect(place, options.collection or "")
    if "://" in place:
        from participant.data.sources.sql import SqlSource  # noqa: PLC0415

        _only(options, "table", "query")
        return SqlSource(place, table=options.table, query=options.query)
    path = Path(place)
    check_file(path)
    content = content_of(path)
    match content:
        case Content.TEXT:
            from participant.data.sources.csv import CsvSource  # noqa: PLC0415

            _only(options, "separator", "encoding")
            return CsvSource(path, separator=options.separator, encoding=options.encoding)
        case Content.PARQUET:
            from participant.data.sources.parquet import ParquetSource  # noqa: PLC0415

            _only(options)
            return ParquetSource(path)
        case Content.WORKBOOK:
            from participant.data.sources.spreadsheet import SpreadsheetSource  # noqa: PLC0415

            _only(options, "sheet")
            return SpreadsheetSource(path, sheet=options.sheet)
        case Content.SAS7BDAT | Content.XPORT | Content.SAV | Content.POR | Content.DTA:
            from participant.data.sources.statistics_file import StatisticsFile  # noqa: PLC0415

            _only(options, "encoding")
            return StatisticsFile(path, content, encoding=options.encoding)
        case Content.UNKNOWN:
            raise SourceError(
                f"{path.name} is none of the files that can be imported: {KNOWN}; or name a database, postgresql://..."
            )


def _only(options: Options, *allowed: str) -> None:
    given = [name for name in Options.__slots__ if getattr(options, name) is not None]
    if odd := sorted(set(given) - set(allowed)):
        raise SourceError(f"--{odd[0]} does not belong to this kind of source")
