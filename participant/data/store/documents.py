"""The documents that a dataset's rows become: a value at each path, and an identifier that follows from the contents.

    others = "drop"                 # leave out the columns that have no path; default: keep

    [paths]
    age = "patient.age"             # column = path of the field; a dot opens a document inside the document
    weight = "visit.vitals.weight"

A column without a path is a field of its own name, in which dots nest as well. Every document has every field; a
missing value is `null`. The identifier is a hash of the dataset's data, the paths and the row's number, so a document
that is sent twice is the same document.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl
from pydantic import Field, ValidationError

from participant.data.model.declaration import Text, read_toml
from participant.data.model.description import Column, ColumnKind, Description
from participant.data.model.errors import DeclarationError, some
from participant.statistics.language.query import Name, Strict, in_words

MAX_DEPTH = 16
_ID_BYTES = 12  # of an ObjectId
BSON_TYPES: dict[ColumnKind, tuple[str, ...]] = {
    ColumnKind.INTEGER: ("long", "int"),
    ColumnKind.CATEGORY: ("long", "int"),
    ColumnKind.REAL: ("double",),
    ColumnKind.BOOLEAN: ("bool",),
    ColumnKind.DATE: ("date",),
    ColumnKind.TEXT: ("string",),
}


class Paths(Strict):
    """The declared paths; see the module."""

    paths: dict[Name, Text] = Field(default_factory=dict)
    others: Literal["keep", "drop"] = "keep"

    @classmethod
    def read(cls, path: Path) -> "Paths":
        """Read paths from a TOML file.

        Raises:
            DeclarationError: the file is missing or not TOML, or has an unknown member.
        """
        try:
            return cls.model_validate(read_toml(path), strict=False)
        except ValidationError as error:
            raise DeclarationError(f"{path.name}: {in_words(error, cls)}") from None


class DocumentField(NamedTuple):
    """A field of every document: its column, and the names that lead to it."""

    column: Column
    path: tuple[str, ...]

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


class Documents:
    """The documents of one version of a dataset.

    Args:
        described: description of the version.
        paths: declared paths.

    Raises:
        DeclarationError: the paths name an unknown column, meet each other, or are not names of fields.
    """

    def __init__(self, described: Description, paths: Paths) -> None:
        names = {column.name for column in described.columns}
        if unknown := sorted(paths.paths.keys() - names):
            raise DeclarationError(f"{described.name} version {described.version} has no column {some(unknown)}")
        self.rows = described.rows
        self.fields = tuple(
            DocumentField(column, _path(column.name, paths.paths.get(column.name, column.name)))
            for column in described.columns
            if paths.others == "keep" or column.name in paths.paths
        )
        if not self.fields:
            raise DeclarationError("no column has a path, and others are dropped: the documents would be empty")
        _check_apart(self.fields)
        told = "\n".join(f"{one.column.name}\t{one.dotted}" for one in self.fields)
        self._seed = sha256(f"{described.data.sha256}\n{told}".encode()).digest()

    @property
    def code(self) -> str:
        """Eight letters that differ for other data or other paths."""
        return self._seed.hex()[:8]

    @property
    def inner(self) -> tuple[tuple[str, ...], ...]:
        """The paths of the documents inside each document."""
        return tuple(dict.fromkeys(one.path[:end] for one in self.fields for end in range(1, len(one.path))))

    def identifier(self, row: int) -> bytes:
        """Return the identifier of a row, counted from 0: 12 bytes."""
        return sha256(self._seed + row.to_bytes(8, "big")).digest()[:_ID_BYTES]

    def sample(self, size: int) -> tuple[int, ...]:
        """Return the rows with the smallest identifiers: hashes choose them, in the order of the identifiers."""
        return tuple(row for _, row in nsmallest(size, ((self.identifier(row), row) for row in range(self.rows))))

    def of(self, table: pl.DataFrame, rows: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the document of each row of a table, with the row's identifier as bytes under `_id`.

        Args:
            table: columns of the version.
            rows: number of each row in the version, from 0.
        """
        values = table.select(_plain(one.column) for one in self.fields)
        for row, cells in zip(rows, values.iter_rows(), strict=True):
            document: dict[str, Any] = {"_id": self.identifier(row)}
            for field, cell in zip(self.fields, cells, strict=True):
                inside = document
                for name in field.path[:-1]:
                    inside = inside.setdefault(name, {})
                inside[field.path[-1]] = cell
            yield document


def _plain(column: Column) -> pl.Expr:
    """Return a column as values that BSON has: dates are midnights."""
    return pl.col(column.name).cast(pl.Datetime("ms")) if column.kind is ColumnKind.DATE else pl.col(column.name)


def _path(column: str, dotted: str) -> tuple[str, ...]:
    names = tuple(dotted.split("."))
    if len(names) > MAX_DEPTH or not all(names) or any(one.startswith("$") or "\0" in one for one in names):
        raise DeclarationError(
            f"column {column}: {dotted!r} is not a path of at most {MAX_DEPTH} names with dots between them; "
            "no name is empty or begins with $"
        )
    if names[0] == "_id":
        raise DeclarationError(f"column {column}: _id belongs to the export; choose another path")
    return names


def _check_apart(fields: Sequence[DocumentField]) -> None:
    """Refuse two columns at one path, and a value where another path needs a document."""
    places: dict[tuple[str, ...], str] = {}
    for field in fields:
        if field.path in places:
            raise DeclarationError(f"columns {places[field.path]} and {field.column.name} have one path {field.dotted}")
        places[field.path] = field.column.name
    for field in fields:
        for end in range(1, len(field.path)):
            if field.path[:end] in places:
                raise DeclarationError(
                    f"column {places[field.path[:end]]} is at {'.'.join(field.path[:end])}, inside which column "
                    f"{field.column.name} has its path {field.dotted}"
                )
