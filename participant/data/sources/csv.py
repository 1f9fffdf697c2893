"""A CSV file, plain or compressed: a header line, then one line for each row, with the same number of cells.

The file is read in blocks of a few megabytes. An irregular line is reported as a fault, with its number, and never
repaired: a short line is more often a sign of a torn file than of missing values. One line is one row, so a stray
quotation mark cannot swallow the lines after it. A blank line is a row without a value.
"""

import csv
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, IncrementalDecoder, getincrementaldecoder, lookup
from collections.abc import Iterator, Mapping
from hashlib import file_digest, sha256
from io import BytesIO
from itertools import starmap
from pathlib import Path

import polars as pl

from participant.data.model.errors import HeaderError, SourceError
from participant.data.model.units import is_known
from participant.data.sources import (
    Batch,
    Fault,
    Origin,
    SourceColumn,
    check_columns,
    check_empty,
    check_file,
    positions,
)
from participant.data.sources.compressed import opened, packing
from participant.data.sources.separator import find_separator

MAX_LINE_BYTES = 1 << 20
_BLOCK = 4 << 20
_ENCODINGS = {"utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso8859-1", "cp1252", "iso8859-15", "cp850", "mac-roman"}
_MARKS = {BOM_UTF8: "utf-8-sig", BOM_UTF16_LE: "utf-16", BOM_UTF16_BE: "utf-16"}
_SAID = re.compile("sep=(.)")  # a first line that tells Excel the separator


class CsvSource:
    """A CSV file.

    Args:
        path: the file.
        separator: cell separator; by default the comma, semicolon, tab or bar on which all lines agree.
        encoding: text encoding; by default that of an initial byte-order mark, or else UTF-8.

    Raises:
        SourceError: the file is missing, empty, or not text in this encoding.
        HeaderError: its first line cannot be a header.
    """

    def __init__(self, path: Path, *, separator: str | None = None, encoding: str | None = None) -> None:
        check_file(path)
        if separator is not None and (len(separator) != 1 or separator in '"\r\n' or not separator.isascii()):
            raise SourceError("the separator is one character, such as a comma, a semicolon or a tab")
        self._path = path
        self._packing = packing(path)
        self._encoding = _known(encoding) if encoding else self._marked()
        self._digest = sha256()
        first, lines = self._first_lines()
        self._first_row = 2  # line of the first row
        if said := _SAID.fullmatch(first):
            separator, self._first_row = separator or said[1], 3
            first, lines = (lines[0] if lines else ""), lines[1:]
        self._separator = separator or find_separator(first, lines)
        self._header = _cells_of(first, self._separator)
        check_columns(len(self._header))
        if separator is None and re.search(r",\s", first) and any(is_known(name) for name in self._header):
            raise HeaderError(
                "a comma in the header stands before a unit: say what separates the cells with --separator"
            )

    @property
    def header(self) -> tuple[str, ...]:
        return self._header

    @property
    def size(self) -> int:
        return self._path.stat().st_size

    @property
    def decimal(self) -> str | None:
        """Return a point if commas separate the cells, else None."""
        return "." if self._separator == "," else None

    def known(self) -> Mapping[int, SourceColumn]:
        return {}

    def origin(self) -> Origin:
        shown = {"\t": "tab"}.get(self._separator, self._separator)
        notes = [f"encoding {self._encoding}", f"cells separated by {shown}"]
        if self._packing:
            notes.append(f"unpacked from {self._packing}")
            with self._path.open("rb") as file:
                self._digest = file_digest(file, "sha256")
        return Origin("csv", self._path.name, self.size, self._digest.hexdigest(), tuple(notes))

    def batches(self) -> Iterator[Batch]:
        self._digest = sha256()
        first, heading = self._first_row, self._first_row - 1  # line numbers
        for block, read in self._blocks():
            body = block
            while heading and body:
                body, heading = body[body.index(b"\n") + 1 :], heading - 1
            if body:
                lines = pl.read_lines(BytesIO(body), row_index_name="number", row_index_offset=first)
                first += lines.height
                yield self._batch(lines.cast({"number": pl.Int64}), body, read)

    def _batch(self, lines: pl.DataFrame, body: bytes, read: int) -> Batch:
        line, columns = pl.col("line"), len(self._header)
        bare, odd = _unquoted(line, self._separator) if b'"' in body else (line, pl.lit(value=False))
        judged = lines.select(
            "number",
            long=line.str.len_bytes() > MAX_LINE_BYTES,
            blank=line.str.strip_chars() == "",
            odd=odd,
            cells=bare.str.count_matches(self._separator, literal=True) + 1,
        )
        blank, cells = pl.col("blank"), pl.col("cells")
        if judged["long"].any():
            raise SourceError(_too_long(self._path.name, judged.filter("long")["number"][0], b""))
        check_empty(int(judged["blank"].sum()))
        quoting = pl.lit("quotation marks that do not enclose a whole cell, or a cell of several lines")
        width = pl.format(f"{{}} cells, where the header has {columns}", cells)
        faulty = judged.filter(pl.col("odd") | (~blank & (cells != columns)))
        if faulty.height or judged["blank"].any():
            good = judged.select(~pl.col("odd") & (blank | (cells == columns))).to_series()
            empty = pl.lit('""' + self._separator * (columns - 1))
            lines = lines.with_columns(pl.when(judged["blank"]).then(empty).otherwise(line).alias("line")).filter(good)
            body = "\n".join(lines["line"].to_list()).encode() + b"\n"
        reasons = faulty.select("number", pl.when("odd").then(quoting).otherwise(width))
        return Batch(lines["number"], self._parsed(body, lines.height), starmap(Fault, reasons.iter_rows()), read)

    def _parsed(self, body: bytes, rows: int) -> pl.DataFrame:
        names = positions(len(self._header))
        if not rows:
            return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        try:
            cells = pl.read_csv(
                BytesIO(body),
                separator=self._separator,
                has_header=False,
                infer_schema=False,
                quote_char='"' if b'"' in body else None,
                new_columns=names,
                low_memory=True,
            )
        except pl.exceptions.PolarsError:  # its message quotes the file
            raise SourceError(f"{self._path.name} is not a regular table; look for quotation marks in cells") from None
        if cells.shape != (rows, len(names)):
            raise SourceError(f"the cells of {self._path.name} cannot be told apart; look for quotation marks in cells")
        return cells

    def _blocks(self) -> Iterator[tuple[bytes, int]]:
        """Yield the file as UTF-8, in pieces of whole lines, each with the number of bytes read so far."""
        decoder, rest, read, lines = getincrementaldecoder(self._encoding)(), b"", 0, 1
        direct = self._encoding in {"utf-8", "utf-8-sig"}
        with opened(self._path) as (file, raw):
            while True:
                chunk = file.read(_BLOCK)
                self._digest.update(chunk)
                if direct:
                    text = chunk.removeprefix(BOM_UTF8) if not read else chunk
                else:
                    text = self._decoded(decoder, chunk, lines)
                if b"\0" in text:
                    raise SourceError(
                        f"{self._path.name} holds NUL bytes; it is not text, or is UTF-16 (use --encoding utf-16)"
                    )
                whole = rest + text
                end = whole.rfind(b"\n") + 1 if chunk else len(whole)
                block, rest = whole[:end], whole[end:]
                if direct:
                    _check_utf8(block, self._path.name, lines)
                if len(rest) > MAX_LINE_BYTES:
                    raise SourceError(_too_long(self._path.name, lines + block.count(b"\n"), rest))
                lines += block.count(b"\n")
                read += len(chunk)
                if block:
                    yield (block if block.endswith(b"\n") else block + b"\n"), raw.tell()
                if not chunk:
                    return

    def _decoded(self, decoder: IncrementalDecoder, chunk: bytes, lines: int) -> bytes:
        try:
            return decoder.decode(chunk, final=not chunk).encode()
        except UnicodeError:
            raise SourceError(
                f"{self._path.name} is not {self._encoding}: the bytes after line {lines} cannot be decoded"
            ) from None

    def _first_lines(self) -> tuple[str, list[str]]:
        """Return the header line, and some of the lines after it.

        Raises:
            SourceError, HeaderError: no header line can be read.
        """
        with opened(self._path) as (file, _):
            head = file.read(4 * MAX_LINE_BYTES)
        if not head:
            raise SourceError(f"{self._path.name} is empty")
        if self._encoding == "utf-8" and b"\0" in head:
            raise SourceError(
                f"{self._path.name} holds NUL bytes; it is not text, or is UTF-16 (use --encoding utf-16)"
            )
        try:
            text = getincrementaldecoder(self._encoding)().decode(head)
        except UnicodeError:
            line = head[: _first_bad(head)].count(b"\n") + 1
            raise SourceError(_not_utf8(self._path.name, line, self._encoding)) from None
        first, feed, rest = text.removeprefix("\ufeff").partition("\n")
        if not first.strip():
            raise SourceError(f"{self._path.name} is empty, or begins with a blank line")
        if len(first) >= MAX_LINE_BYTES:
            raise HeaderError(_too_long(self._path.name, 1, first[:1000].encode()))
        if "\r" in first.rstrip("\r"):
            raise HeaderError("the lines end in a carriage return alone; save the file with line feeds")
        if not feed:
            raise SourceError(f"{self._path.name} has a header and no rows")
        lines = rest.split("\n")
        whole = lines if len(head) < 4 * MAX_LINE_BYTES else lines[:-1]
        return first.rstrip("\r"), [line.rstrip("\r") for line in whole]

    def _marked(self) -> str:
        with opened(self._path) as (file, _):
            head = file.read(3)
        return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), "utf-8")


def _known(encoding: str) -> str:
    try:
        name = lookup(encoding).name
    except LookupError:
        name = ""
    if name not in _ENCODINGS:
        raise SourceError(f"the encoding is one of {', '.join(sorted(_ENCODINGS))}")
    return name


def _cells_of(line: str, separator: str) -> tuple[str, ...]:
    try:
        return tuple(name.strip() for name in next(csv.reader([line], delimiter=separator, strict=True)))
    except csv.Error:
        raise HeaderError("the quotation marks of the first line are not closed, or a name is too long") from None


def _unquoted(line: pl.Expr, separator: str) -> tuple[pl.Expr, pl.Expr]:
    """Return the line without its quoted text, and whether programs differ in how they read its quotation marks.

    A quoted cell becomes a pair of quotation marks, so that it hides no separator. Any mark that is not then one of a
    pair enclosing a cell shows such quoting.
    """
    between = f"\\x{{{ord(separator):x}}}"
    bare = line.str.strip_chars_end("\r").str.replace_all('"(?:[^"]|"")*"', '""')
    unopened = bare.str.replace_all(f'(^|{between})""', "$1").str.contains('"', literal=True)
    unclosed = bare.str.contains(f'""[^{between}]')
    return bare, unopened | unclosed


def _check_utf8(block: bytes, name: str, lines: int) -> None:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(_not_utf8(name, lines + block[: error.start].count(b"\n"), "utf-8")) from None


def _first_bad(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


def _not_utf8(name: str, line: int, encoding: str) -> str:
    remedy = (
        "; if it comes from an older Windows program, use --encoding cp1252" if encoding.startswith("utf-8") else ""
    )
    shown = "UTF-8" if encoding.startswith("utf-8") else encoding
    return f"{name} is not {shown}: line {line} cannot be decoded{remedy}"


def _too_long(name: str, line: int, rest: bytes) -> str:
    hint = "; the lines end in a carriage return alone, save it with line feeds" if b"\r" in rest else ""
    return f"line {line} of {name} is longer than {MAX_LINE_BYTES:,} bytes{hint}"
