"""A site's declaration about a table before its import: an optional TOML file.

    missing = ["NA", "-9"]             # codes of missing values, in every column
    person = "patient_id"              # identifies a person; replaced by a running number
    key = ["patient_id", "visit"]      # rows that agree in these are duplicates; by default the person
    bad_rows = 0.01                    # share of rows that may be left out

    [columns.weight]
    type = "real"
    unit = "kg"
    units = { g = 0.001, lb = 0.45359237 }   # other units that cells may have, and the value of each in `unit`
    low = 20
    high = 300

    [columns.sex]
    header = "Geschlecht (m/w)"        # the source's name, where it is not `sex`
    type = "category"
    categories = { m = 1, w = 2 }

The type of an undeclared column is inferred from all of its cells.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, StringConstraints, ValidationError, model_validator

from participant.data.model.description import NUMERIC, ColumnKind
from participant.data.model.errors import DeclarationError
from participant.statistics.language.query import Name, Strict, in_words

MAX_FILE_BYTES = 1 << 20
Text = Annotated[str, StringConstraints(max_length=200)]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=16)]


class Conversion(Strict):
    """Conversion from another unit: value * factor + offset."""

    factor: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0

    @model_validator(mode="before")
    @classmethod
    def _number(cls, given: object) -> object:
        return {"factor": given} if isinstance(given, int | float) and not isinstance(given, bool) else given

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.factor == 0:
            raise ValueError("a factor must not be 0")
        return self


class DeclaredColumn(Strict):
    """The declaration of one column; see the module."""

    type: ColumnKind | None = None
    header: Text | None = None
    label: Text = ""
    unit: Annotated[str, StringConstraints(max_length=16)] = ""
    units: dict[Unit, Conversion] = Field(default_factory=dict, max_length=50)
    decimal: Literal[".", ","] | None = None
    missing: tuple[Text, ...] = ()
    required: bool = False
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    categories: dict[Text, int] | None = Field(default=None, min_length=1, max_length=10_000)
    formats: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("the range needs low <= high")
        if self.categories is not None and self.type not in {None, ColumnKind.CATEGORY}:
            raise ValueError("only a category has categories")
        if self.type is ColumnKind.CATEGORY and self.categories is None:
            raise ValueError("a category needs categories = { cell = number }")
        ranged = self.low is not None or self.high is not None or self.units or self.unit
        if ranged and self.kind is not None and self.kind not in NUMERIC:
            raise ValueError("a range and units belong to numbers")
        if self.formats and self.type not in {None, ColumnKind.DATE}:
            raise ValueError("formats are those of dates")
        return self

    @property
    def kind(self) -> ColumnKind | None:
        """The declared type, or the one that other members imply."""
        if self.type is not None:
            return self.type
        if self.categories is not None:
            return ColumnKind.CATEGORY
        return ColumnKind.DATE if self.formats else None


class Declaration(Strict):
    """The declaration of a table; see the module.

    Attributes:
        others: treatment of undeclared columns, `keep` or `drop`.
    """

    missing: tuple[Text, ...] = ("NA",)
    decimal: Literal[".", ","] | None = None
    person: Name | None = None
    key: tuple[Name, ...] = ()
    bad_rows: float = Field(default=0.0, ge=0, lt=1)
    others: Literal["keep", "drop"] = "keep"
    columns: dict[Name, DeclaredColumn] = Field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Declaration":
        """Read a declaration from a TOML file.

        Raises:
            DeclarationError: the file is missing or not TOML, or has an unknown member or a forbidden value.
        """
        content = read_toml(path)
        try:
            return cls.model_validate(content, strict=False)
        except ValidationError as error:
            raise DeclarationError(f"{path.name}: {in_words(error, cls)}") from None

    def allowing(self, bad_rows: float) -> Self:
        """Return the declaration with another share of bad rows.

        Raises:
            DeclarationError: the share is not from 0 to below 1.
        """
        if not 0 <= bad_rows < 1:
            raise DeclarationError("the share of bad rows is a number from 0 to below 1, such as 0.01")
        return self.model_copy(update={"bad_rows": bad_rows})

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that identify a row; empty if none was declared."""
        return self.key or ((self.person,) if self.person else ())


def read_toml(path: Path) -> dict[str, object]:
    """Return the contents of a TOML file.

    Raises:
        DeclarationError: the file is missing, too long or not TOML.
    """
    try:
        data = path.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise DeclarationError(f"{path.name} has more than {MAX_FILE_BYTES:,} bytes")
        return tomllib.loads(data.decode("utf-8"))
    except FileNotFoundError:
        raise DeclarationError(f"there is no file {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path.name} is not a TOML file: {error}") from None
