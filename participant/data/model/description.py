"""The description of a stored dataset: a small JSON file beside the data, readable without opening them."""

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from participant.statistics.language.definitions import Definition
from participant.statistics.language.query import Name, Strict


class ColumnKind(StrEnum):
    """The type of a column. Categories are stored as numbers and booleans as 0 and 1, so statistics can use them."""

    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    DATE = "date"
    TEXT = "text"


NUMERIC = frozenset({ColumnKind.INTEGER, ColumnKind.REAL, ColumnKind.BOOLEAN, ColumnKind.CATEGORY})


class Column(Strict):
    """A column of a dataset.

    Attributes:
        name, kind, missing: name, type, and number of rows without a value.
        header: name in the source, if different.
        label, unit: label and unit in words, if known.
        categories: number that stands for each label.
        low, high: bounds of the declared range.
        reasons: number of missing values for each reason that the source gives.
    """

    name: Name
    kind: ColumnKind
    missing: int = Field(ge=0)
    header: str | None = None
    label: str = ""
    unit: str = ""
    categories: dict[str, int] | None = None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    reasons: dict[str, int] = Field(default_factory=dict)

    def means(self, definition: Definition) -> bool:
        """Return whether the column is coded as a project defines it: type, unit and category numbers."""
        numbers = {one.number for one in definition.categories}
        return (
            self.kind == definition.type
            and self.unit == definition.unit
            and (not numbers or set((self.categories or {}).values()) <= numbers)
            and (not numbers or self.categories is not None)
        )


SourceKind = Literal[
    "csv", "parquet", "excel", "sql", "mongo", "sas", "spss", "stata", "omop", "fhir", "frame", "dataset", "file"
]


class DataFile(Strict):
    """A file or another source: its name and, for a file, size and SHA-256."""

    name: str
    bytes: int | None = Field(default=None, ge=0)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    kind: SourceKind = "file"


class Description(Strict):
    """One version of a dataset.

    Attributes:
        format: version of this format.
        name: name of the dataset.
        version: number of the version, from 1; that of a dropped version is not used again.
        rows: number of rows.
        columns: columns in the order of the source.
        source: source of the import.
        data: Parquet file with the rows.
        imported_at: time of the import.
        bad_rows: number of rows left out for the reasons in bad-rows.csv.
        mapping: SHA-256 of the applied mapping to a project's variables, if any.
        person: column whose numbers stand for persons, if any.
    """

    format: Literal[1] = 1
    name: Name
    version: int = Field(ge=1)
    rows: int = Field(ge=1)
    columns: tuple[Column, ...]
    source: DataFile
    data: DataFile
    imported_at: AwareDatetime
    bad_rows: int = Field(default=0, ge=0)
    mapping: str | None = None
    person: Name | None = None

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the columns that statistics can use."""
        return tuple(column.name for column in self.columns if column.kind in NUMERIC)

    def in_words(self) -> str:
        """Return one line that identifies the dataset."""
        return (
            f"{self.name} version {self.version}: {self.rows:,} rows, {len(self.columns)} columns ({self.source.name})"
        )
