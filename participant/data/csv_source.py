"""A CSV file as cells of text: the steps that know the format.

UTF-8, a header line, one line a row, as many cells in each. What is irregular is refused with its line and never
repaired: a short line is more often a torn file than a row of missing values. Blank lines at the end are no rows.
"""

import csv
from codecs import BOM_UTF8, getincrementaldecoder
from collections import Counter
from hashlib import sha256
from pathlib import Path
from re import fullmatch
from typing import NamedTuple

import polars as pl

from participant.data.errors import HeaderError, SourceError
from participant.statistics.query import NAME_PATTERN

MAX_COLUMNS = 2000
MAX_HEADER_BYTES = 1 << 20
_CHUNK = 1 << 20
_SHOWN = 5


class Source(NamedTuple):
    """A file as it was read.

    Attributes:
        cells: one column of text for each column of the file; empty cells are null.
        bytes, sha256: size and hash of the file.
    """

    cells: pl.DataFrame
    bytes: int
    sha256: str


def read_csv(path: Path, *, separator: str = ",") -> Source:
    """Read a CSV file.

    Raises:
        SourceError: it cannot be read, is empty, not UTF-8, holds NUL bytes, or its lines differ in their cells.
        HeaderError: a column's name is missing, repeated, or no name; or there are too many.
    """
    if len(separator) != 1 or separator in '"\r\n':
        raise SourceError("the separator is one character, such as a comma, a semicolon or a tab")
    try:
        text = _inspect(path)
        names = _header(text.first, separator)
        rows = _check_lines(path, separator, len(names), quoted=text.quoted)
        return Source(_cells(path, separator, names, rows), text.size, text.sha256)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}") from None
    except pl.exceptions.PolarsError:  # its message quotes the file
        raise SourceError(f"{path.name} is no regular table; look for quotation marks inside cells") from None


class _Text(NamedTuple):
    """Size, hash and first line of a file, and whether it has quotation marks."""

    size: int
    sha256: str
    first: bytes
    quoted: bool


def _inspect(path: Path) -> _Text:
    """Return what is known of a file after reading it once, in pieces; refuse what is no text."""
    if not path.is_file():
        raise SourceError(f"there is no file {path.name}")
    digest, decoder, size, first, quoted = sha256(), getincrementaldecoder("utf-8")(), 0, b"", False
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if not size:
                first = chunk.split(b"\n", 1)[0]
            size += len(chunk)
            digest.update(chunk)
            quoted = quoted or b'"' in chunk
            if b"\0" in chunk:
                raise SourceError(f"{path.name} holds NUL bytes; it is no text, or it is UTF-16. Save it as UTF-8")
            try:
                decoder.decode(chunk, final=len(chunk) < _CHUNK)
            except UnicodeDecodeError:
                raise SourceError(f"{path.name} is not UTF-8; save it as UTF-8") from None
    if not first.removeprefix(BOM_UTF8).strip():
        raise SourceError(f"{path.name} is empty, or begins with a blank line")
    if len(first) >= MAX_HEADER_BYTES:
        raise HeaderError(f"the first line is longer than {MAX_HEADER_BYTES} bytes; are the lines separated properly?")
    return _Text(size, digest.hexdigest(), first, quoted)


def _header(line: bytes, separator: str) -> list[str]:
    """Return the columns' names."""
    text = line.removeprefix(BOM_UTF8).decode("utf-8").rstrip("\r")
    if "\r" in text:
        raise HeaderError("the lines end in a carriage return alone; save the file with line feeds")
    try:
        names = [name.strip() for name in next(csv.reader([text], delimiter=separator, strict=True))]
    except csv.Error:
        raise HeaderError("the quotation marks of the first line are not closed") from None
    if len(names) > MAX_COLUMNS:
        raise HeaderError(f"the first line names {len(names)} columns; at most {MAX_COLUMNS} can be imported")
    if odd := [number for number, name in enumerate(names, 1) if not fullmatch(NAME_PATTERN, name)]:
        raise HeaderError(
            f"column {', '.join(map(str, odd[:_SHOWN]))} of {len(names)} has no proper name in the first line: a "
            "letter, then up to 63 letters, digits and . _ -. Is the first line a header, and the separator right?"
        )
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise HeaderError(f"the first line names these columns more than once: {', '.join(repeated[:_SHOWN])}")
    return names


def _check_lines(path: Path, separator: str, columns: int, *, quoted: bool) -> int:
    """Return the number of rows after checking that each line has so many cells."""
    line = pl.col("line")
    quotes, bare = _quoting(line, separator) if quoted else (pl.lit(value=False), line)
    lines = pl.scan_lines(path, row_index_name="number", row_index_offset=1, glob=False)
    lines = lines.with_columns(blank=line.str.strip_chars() == "")
    number, blank = pl.col("number"), pl.col("blank")
    last = int(lines.filter(~blank).select(number.max()).collect(engine="streaming").item())
    faults = {
        "quotation marks that do not enclose a whole cell, or a cell of several lines": quotes,
        "nothing; blank lines are allowed at the end only": blank & pl.lit(columns > 1),
        f"not {columns} cells, as the header has": bare.str.count_matches(separator, literal=True) != columns - 1,
    }
    rows = lines.filter(number <= last)
    for fault, complaint in zip(faults.values(), faults, strict=True):
        found = rows.filter(fault).select(number).head(_SHOWN).collect(engine="streaming")["number"].to_list()
        if found:
            raise SourceError(f"{path.name} has on line {', '.join(map(str, found))} {complaint}")
    if last == 1:
        raise SourceError(f"{path.name} has a header and no rows")
    return last - 1


def _quoting(line: pl.Expr, separator: str) -> tuple[pl.Expr, pl.Expr]:
    """Return whether a line is quoted in a way that another program may read otherwise, and the line without quotes.

    A quoted cell becomes a pair of quotation marks, so that it hides no separator; then a mark that is not one of a
    pair at both ends of a cell shows such quoting.
    """
    between = f"\\x{{{ord(separator):x}}}"
    bare = line.str.replace_all('"(?:[^"]|"")*"', '""')
    unopened = bare.str.replace_all(f'(^|{between})""', "$1").str.contains('"', literal=True)
    unclosed = bare.str.contains(f'""[^{between}]')
    return unopened | unclosed, bare


def _cells(path: Path, separator: str, names: list[str], rows: int) -> pl.DataFrame:
    cells = pl.read_csv(path, separator=separator, infer_schema=False, n_rows=rows, glob=False)
    if cells.shape != (rows, len(names)):
        raise SourceError("the cells of the file cannot be told apart; look for quotation marks inside cells")
    cells.columns = names
    stripped = pl.all().str.strip_chars()
    return cells.select(pl.when(stripped != "").then(stripped).name.keep())
