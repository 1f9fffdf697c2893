"""What is known about a stored dataset without opening it; small JSON beside the data."""

from typing import Literal

from pydantic import AwareDatetime, Field

from participant.data.columns import Kind
from participant.statistics.query import Name, Strict


class Column(Strict):
    """A column: its name, its type, and the number of rows without a value."""

    name: Name
    kind: Kind
    missing: int = Field(ge=0)


class File(Strict):
    """A file: its name, size and SHA-256."""

    name: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Description(Strict):
    """One version of a dataset.

    Attributes:
        format: of this description.
        name: of the dataset.
        version: counts from 1; the number of a dropped version is not used again.
        rows: rows.
        columns: in the order of the file.
        source: the file that was imported.
        data: the Parquet file.
        imported_at: when.
    """

    format: Literal[1] = 1
    name: Name
    version: int = Field(ge=1)
    rows: int = Field(ge=1)
    columns: tuple[Column, ...]
    source: File
    data: File
    imported_at: AwareDatetime

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the columns that statistics can use."""
        return tuple(column.name for column in self.columns if column.kind is not Kind.TEXT)
