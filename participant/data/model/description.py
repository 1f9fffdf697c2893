"""What is known about a stored dataset without opening it; small JSON beside the data."""

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from participant.statistics.language.definitions import Definition
from participant.statistics.language.query import Name, Strict


class ColumnKind(StrEnum):
    """What a column holds. Categories are stored as numbers and booleans as 0 and 1, so statistics can use them."""

    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    DATE = "date"
    TEXT = "text"


NUMERIC = frozenset({ColumnKind.INTEGER, ColumnKind.REAL, ColumnKind.BOOLEAN, ColumnKind.CATEGORY})


class Column(Strict):
    """A column.

    Attributes:
        name, kind, missing: its name, its type, and the number of rows without a value.
        header: what the source called it, if that is another name.
        label, unit: in words, where they are known.
        categories: labels by the number that stands for them.
        low, high: the declared range.
        reasons: why values are missing, where the source says so, and how many for each reason.
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
        """Return whether the column is coded as a project defines it: type, unit, and numbers of the categories."""
        numbers = {one.number for one in definition.categories}
        return (
            self.kind == definition.type
            and self.unit == definition.unit
            and (not numbers or set((self.categories or {}).values()) <= numbers)
            and (not numbers or self.categories is not None)
        )


SourceKind = Literal["csv", "parquet", "excel", "sql", "mongo", "sas", "spss", "stata", "frame", "dataset", "file"]


class DataFile(Strict):
    """A file, or another source: its name, and of a file size and SHA-256."""

    name: str
    bytes: int | None = Field(default=None, ge=0)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    kind: SourceKind = "file"


class Description(Strict):
    """One version of a dataset.

    Attributes:
        format: of this description.
        name: of the dataset.
        version: counts from 1; the number of a dropped version is not used again.
        rows: rows.
        columns: in the order of the source.
        source: what was imported.
        data: the Parquet file.
        imported_at: when.
        bad_rows: rows of the source that were left out, for the reasons in bad-rows.csv.
        mapping: SHA-256 of the mapping to a project's variables that was applied, if one was.
        person: the column whose numbers stand for persons, if it is there.
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
        """Return a line that tells the dataset apart."""
        return (
            f"{self.name} version {self.version}: {self.rows:,} rows, {len(self.columns)} columns ({self.source.name})"
        )
