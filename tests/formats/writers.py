"""Writers of tables: each writes a file, or fills a database, as commonly used programs do."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import mongomock
import openpyxl
import pandas as pd
import polars as pl
import pyreadstat
import sqlalchemy
import xlwt
from backports import zstd

from participant.data.sources import TableSource
from participant.data.sources.choose import Options, open_source
from participant.data.sources.frame import FrameSource
from participant.data.sources.mongo import MongoSource

Writer = Callable[[pl.DataFrame, Path], TableSource]


def _opened(path: Path, **options: str) -> TableSource:
    return open_source(str(path), Options(**options))


def comma(table: pl.DataFrame, folder: Path) -> TableSource:
    table.write_csv(folder / "t.csv")
    return _opened(folder / "t.csv")


def quoted(table: pl.DataFrame, folder: Path) -> TableSource:
    table.write_csv(folder / "t.csv", quote_style="always")
    return _opened(folder / "t.csv")


def crlf_with_mark(table: pl.DataFrame, folder: Path) -> TableSource:
    table.write_csv(folder / "t.csv", include_bom=True, line_terminator="\r\n")
    return _opened(folder / "t.csv")


def tabs(table: pl.DataFrame, folder: Path) -> TableSource:
    table.write_csv(folder / "t.tsv", separator="\t")
    return _opened(folder / "t.tsv")


def utf16(table: pl.DataFrame, folder: Path) -> TableSource:
    (folder / "t.txt").write_bytes(table.write_csv(separator="\t").encode("utf-16"))
    return _opened(folder / "t.txt")


def cp1252(table: pl.DataFrame, folder: Path) -> TableSource:
    (folder / "t.csv").write_bytes(table.write_csv(separator=";").encode("cp1252"))
    return _opened(folder / "t.csv", encoding="cp1252")


def semicolons_and_decimal_commas(table: pl.DataFrame, folder: Path) -> TableSource:
    _pandas(table).to_csv(folder / "t.csv", sep=";", decimal=",", index=False)
    return _opened(folder / "t.csv")


def pandas_with_row_numbers(table: pl.DataFrame, folder: Path) -> TableSource:
    _pandas(table).to_csv(folder / "t.csv")
    return _opened(folder / "t.csv")


def r_with_row_names(table: pl.DataFrame, folder: Path) -> TableSource:
    """As R's write.csv does: NA for missing values, and a first column of row numbers without a name."""
    frame = _pandas(table)
    frame.index += 1
    frame.map(lambda value: str(value).upper() if isinstance(value, bool) else value).to_csv(
        folder / "t.csv", na_rep="NA"
    )
    return _opened(folder / "t.csv")


def compressed(pack: Callable[[bytes], bytes], suffix: str) -> Writer:
    def write(table: pl.DataFrame, folder: Path) -> TableSource:
        path = folder / f"t.csv.{suffix}"
        path.write_bytes(pack(table.write_csv().encode()))
        return _opened(path)

    write.__name__ = suffix
    return write


def zipped(table: pl.DataFrame, folder: Path) -> TableSource:
    with zipfile.ZipFile(folder / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/t.csv", table.write_csv())
    return _opened(folder / "t.zip")


def parquet(table: pl.DataFrame, folder: Path) -> TableSource:
    table.write_parquet(folder / "t.parquet")
    return _opened(folder / "t.parquet")


def comma_of_duckdb(table: pl.DataFrame, folder: Path) -> TableSource:
    _duckdb(table, folder).write_csv(str(folder / "t.csv"))
    return _opened(folder / "t.csv")


def bars_of_duckdb(table: pl.DataFrame, folder: Path) -> TableSource:
    _duckdb(table, folder).write_csv(str(folder / "t.csv.gz"), sep="|", na_rep="NA", quoting="all", compression="gzip")
    return _opened(folder / "t.csv.gz")


def parquet_of_duckdb(table: pl.DataFrame, folder: Path) -> TableSource:
    _duckdb(table, folder).write_parquet(str(folder / "t.parquet"))
    return _opened(folder / "t.parquet")


def _duckdb(table: pl.DataFrame, folder: Path) -> duckdb.DuckDBPyRelation:
    table.write_parquet(folder / "given.parquet")
    return duckdb.read_parquet(str(folder / "given.parquet"))


def xlsx_of_openpyxl(table: pl.DataFrame, folder: Path) -> TableSource:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("one")
    for row in (table.columns, *table.rows()):
        sheet.append(row)
    book.save(folder / "t.xlsx")
    return _opened(folder / "t.xlsx")


def xlsx_of_polars(table: pl.DataFrame, folder: Path) -> TableSource:
    table.write_excel(folder / "t.xlsx")  # by XlsxWriter
    return _opened(folder / "t.xlsx")


def xlsx_of_pandas(table: pl.DataFrame, folder: Path) -> TableSource:
    _pandas(table).to_excel(folder / "t.xlsx", index=False)
    return _opened(folder / "t.xlsx")


def xlsx_below_a_margin(table: pl.DataFrame, folder: Path) -> TableSource:
    table.write_excel(folder / "t.xlsx", position=(4, 2))
    return _opened(folder / "t.xlsx")


def ods(table: pl.DataFrame, folder: Path) -> TableSource:
    _pandas(table).to_excel(folder / "t.ods", index=False, engine="odf")
    return _opened(folder / "t.ods")


def xls(table: pl.DataFrame, folder: Path) -> TableSource:
    book = xlwt.Workbook()
    sheet, day = book.add_sheet("one"), xlwt.easyxf(num_format_str="yyyy-mm-dd")
    for y, row in enumerate((table.columns, *table.rows())):
        for x, value in enumerate(row):
            if value is not None:
                sheet.write(y, x, value, *([day] if isinstance(value, date) else []))
    book.save(folder / "t.xls")
    return _opened(folder / "t.xls")


def spss(table: pl.DataFrame, folder: Path) -> TableSource:
    pyreadstat.write_sav(_pandas(table), folder / "t.sav")
    return _opened(folder / "t.sav")


def spss_compressed(table: pl.DataFrame, folder: Path) -> TableSource:
    pyreadstat.write_sav(_pandas(table), folder / "t.zsav", compress=True)
    return _opened(folder / "t.zsav")


def stata(table: pl.DataFrame, folder: Path) -> TableSource:
    pyreadstat.write_dta(_pandas(table), folder / "t.dta")
    return _opened(folder / "t.dta")


def stata_of_pandas(table: pl.DataFrame, folder: Path) -> TableSource:
    frame = _pandas(table)
    days = [name for name in frame if table.schema[name] == pl.Date]
    frame[days] = frame[days].apply(pd.to_datetime)
    for name, kind in table.schema.items():
        if kind == pl.Boolean:
            frame[name] = frame[name].astype("float64")
        elif kind == pl.String:
            frame[name] = frame[name].fillna("")
    frame.to_stata(folder / "t.dta", write_index=False, convert_dates=dict.fromkeys(days, "td"), version=118)
    return _opened(folder / "t.dta")


def xport(table: pl.DataFrame, folder: Path) -> TableSource:
    pyreadstat.write_xport(_pandas(table), folder / "t.xpt")
    return _opened(folder / "t.xpt")


def sqlite(table: pl.DataFrame, folder: Path) -> TableSource:
    url = f"sqlite:///{folder / 't.db'}"
    kinds = {
        pl.Float64: sqlalchemy.Float,
        pl.Int64: sqlalchemy.BigInteger,
        pl.Date: sqlalchemy.Date,
        pl.Boolean: sqlalchemy.Boolean,
    }
    columns = [sqlalchemy.Column(name, kinds.get(type(kind), sqlalchemy.Text)) for name, kind in table.schema.items()]
    made = sqlalchemy.Table("t", sqlalchemy.MetaData(), *columns)
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        made.create(connection)
        connection.execute(made.insert(), table.to_dicts())
    engine.dispose()
    return open_source(url, Options(table="t"))


def documents(table: pl.DataFrame, folder: Path) -> TableSource:
    del folder
    collection = mongomock.MongoClient()["clinic"]["patients"]
    collection.insert_many({name: _moment(value) for name, value in row.items()} for row in table.to_dicts())
    return MongoSource(collection)


def frame_of_pandas(table: pl.DataFrame, folder: Path) -> TableSource:
    del folder
    return FrameSource(_pandas(table))


def _moment(value: Any) -> Any:
    """Return a date as BSON has it, which knows moments alone."""
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else value


def _pandas(table: pl.DataFrame) -> pd.DataFrame:
    """Return a table as pandas has it, dates and missing values as objects."""
    return pd.DataFrame(
        {name: pd.Series(column.to_list(), dtype=_kind(column)) for name, column in table.to_dict().items()}
    )


def _kind(column: pl.Series) -> str | None:
    if column.dtype == pl.Float64 or (column.dtype.is_integer() and column.null_count()):
        return "float64"
    return None if column.dtype.is_integer() else "object"


WRITERS: tuple[Writer, ...] = (
    comma, quoted, crlf_with_mark, tabs, utf16, cp1252, semicolons_and_decimal_commas, pandas_with_row_numbers,
    r_with_row_names, compressed(gzip.compress, "gz"), compressed(bz2.compress, "bz2"), compressed(lzma.compress, "xz"),
    compressed(zstd.compress, "zst"), zipped, parquet, comma_of_duckdb, bars_of_duckdb, parquet_of_duckdb,
    xlsx_of_openpyxl, xlsx_of_polars, xlsx_of_pandas, xlsx_below_a_margin, ods, xls, spss, spss_compressed, stata,
    stata_of_pandas, xport, sqlite, documents, frame_of_pandas,
)  # fmt: skip
