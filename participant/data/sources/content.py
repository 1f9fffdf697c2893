"""Recognises the kind of a file by its first bytes."""

import re
import zipfile
from enum import StrEnum
from pathlib import Path

from participant.data.model.errors import SourceError
from participant.data.sources.compressed import SIGNS

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_SAS = bytes.fromhex("000000000000000000000000c2ea8160b31411cfbd92080009c7318c181f1011")
_OLD_STATA = re.compile(rb"[\x69-\x73][\x01\x02]\x01\x00", re.DOTALL)  # release, byte order, type, padding
_MARKUP = (b"<!doctype html", b"<html", b"<?xml", b"<table")
_BINARY = frozenset(range(1, 9)) | {14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25}


class Content(StrEnum):
    """Kinds of files."""

    TEXT = "text"
    PARQUET = "parquet"
    WORKBOOK = "workbook"
    SAS7BDAT = "sas7bdat"
    XPORT = "xport"
    SAV = "sav"
    POR = "por"
    DTA = "dta"
    UNKNOWN = "unknown"


_SIGNS = {
    _SAS: Content.SAS7BDAT,
    b"HEADER RECORD*******LIB": Content.XPORT,
    b"$FL2": Content.SAV,
    b"$FL3": Content.SAV,
    b"<stata_dta>": Content.DTA,
}


def content_of(path: Path) -> Content:
    """Return the kind of a file.

    Raises:
        SourceError: it is HTML or other markup, which is often named like a table.
    """
    with path.open("rb") as file:
        head = file.read(4096)
        size = file.seek(0, 2)
        file.seek(max(0, size - 4))
        tail = file.read(4)
    if head[:4] == b"PAR1" or (tail == b"PAR1" and path.suffix.lower() in {".parquet", ".pq"}):
        return Content.PARQUET
    if head.startswith(_OLE):
        return Content.WORKBOOK
    if (package := _package(head)) is not None:
        return package
    if head.startswith(b"PK\x03\x04"):
        return _zipped(path)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_MARKUP):
        raise SourceError(f"{path.name} holds markup (HTML or XML), and no table; export it as CSV or .xlsx")
    named = {".csv", ".tsv", ".tab", ".txt", ".gz", ".bz2", ".xz", ".zst"} & {one.lower() for one in path.suffixes}
    if not named and (head.startswith(tuple(SIGNS)) or _BINARY & set(head)):
        return Content.UNKNOWN
    return Content.TEXT


def _package(head: bytes) -> Content | None:
    """Return the kind of a statistics package's file, None for other files."""
    for sign, content in _SIGNS.items():
        if head.startswith(sign):
            return content
    if _OLD_STATA.match(head):
        return Content.DTA
    return Content.POR if b"SPSS PORT FILE" in head[:512] else None


def _zipped(path: Path) -> Content:
    """Return whether a ZIP archive is a workbook or a compressed text file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        return Content.WORKBOOK if path.suffix.lower().startswith((".xls", ".ods")) else Content.TEXT
    workbook = {"xl/workbook.xml", "xl/workbook.bin", "[Content_Types].xml", "content.xml"} & set(names)
    return Content.WORKBOOK if workbook or len(names) != 1 else Content.TEXT
