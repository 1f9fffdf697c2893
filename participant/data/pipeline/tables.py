"""A table's numbers, for simulated sites: read by the rules of an import, without keeping anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from participant.data.model.declaration import Declaration
from participant.data.pipeline.reading import numbers_of
from participant.data.sources.choose import open_source
from participant.data.sources.frame import FrameSource
from participant.statistics.language.layout import Array

SUFFIXES = (
    ".csv", ".tsv", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zst", ".parquet", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods",
    ".sas7bdat", ".xpt", ".sav", ".zsav", ".por", ".dta",
)  # fmt: skip
DECLARATION = ".toml"


def of_file(path: Path) -> dict[str, Array]:
    """Return a file's columns that statistics can use, as an import would store them.

    If a `.toml` file of the same name exists, it is used as the declaration.

    Raises:
        DatasetError: an import would refuse the table.
    """
    declared = path.with_name(f"{name_of(path)}{DECLARATION}")
    return numbers_of(open_source(str(path)), Declaration.read(declared) if declared.exists() else None)


def of_frame(table: Any, name: str) -> dict[str, Array]:
    """Return those columns of a data frame, or of arrays by name, that statistics can use.

    Raises:
        DatasetError: an import would refuse the table.
    """
    return numbers_of(FrameSource(table, name))


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder that are named like tables."""
    return (path for path in sorted(folder.glob("*")) if path.name.lower().endswith(SUFFIXES))


def name_of(path: Path) -> str:
    """Return the name of a table's file without its suffix."""
    return next(path.name[: -len(one)] for one in SUFFIXES if path.name.lower().endswith(one))
