"""Mapping of a site's columns to a project's variables: a TOML file that is written once.

    [variables.weight]              # the project's code
    column = "Gewicht"              # the site's column
    factor = 0.001                  # value * factor + offset is in the project's unit
    offset = 0.0

    [variables.sex]
    column = "sex"
    categories = { m = 1, f = 2 }   # the site's value -> the project's number

The dataset's next version holds the mapped columns under the project's codes; others are left out unless `keep` names
them. A mapping stays with the version and is applied again when the table is imported again.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

import polars as pl
from pydantic import Field, FiniteFloat, ValidationError, model_validator

from participant.data.model.declaration import Text, read_toml
from participant.data.model.description import NUMERIC, Column, ColumnKind
from participant.data.model.errors import DamagedDatasetError, DeclarationError, some
from participant.data.steps.validate import Complaint
from participant.data.store.store import DatasetStore
from participant.statistics.language.definitions import Definition, Definitions
from participant.statistics.language.query import Name, Strict, in_words

NAME = "mapping.json"


class MappedVariable(Strict):
    """The origin of a variable; see the module."""

    column: Name
    factor: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0
    categories: dict[Text, int] = Field(default_factory=dict, max_length=10_000)


class Mapping(Strict):
    """A mapping with the definitions that it maps to.

    Attributes:
        definitions: the project's definitions.
        variables: mapped variables by code.
        keep: further columns, kept as they are.
    """

    definitions: Definitions
    variables: dict[Name, MappedVariable] = Field(min_length=1)
    keep: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        known = {one.code: one for one in self.definitions}
        if unknown := sorted(set(self.variables) - set(known)):
            raise ValueError(f"the project defines no variable {some(unknown)}")
        for code, variable in self.variables.items():
            defined = {one.number for one in known[code].categories}
            if odd := sorted(set(variable.categories.values()) - defined):
                raise ValueError(f"{code}: the project has no category {some(odd)}")
            if variable.factor == 0:
                raise ValueError(f"{code}: a factor must not be 0")
            if known[code].type not in {"integer", "real"} and (variable.factor, variable.offset) != (1.0, 0.0):
                raise ValueError(f"{code}: factor and offset belong to numbers")
        if clash := sorted(set(self.keep) & set(self.variables)):
            raise ValueError(f"{some(clash)} is a variable and cannot be kept beside it")
        return self

    @classmethod
    def read(cls, path: Path, definitions: Sequence[Definition]) -> "Mapping":
        """Read a mapping from a TOML file.

        Raises:
            DeclarationError: the file is not TOML, or has an unknown member or one that the definitions lack.
        """
        content = {**read_toml(path), "definitions": tuple(definitions)}
        try:
            return cls.model_validate(content, strict=False)
        except ValidationError as error:
            raise DeclarationError(f"{path.name}: {in_words(error, cls)}") from None

    @property
    def digest(self) -> str:
        """SHA-256 of the mapping and its definitions."""
        return sha256(self.model_dump_json().encode()).hexdigest()

    def mapper(self, columns: Sequence[Column]) -> "Mapper":
        """Return the mapper for a table with these columns.

        Raises:
            DeclarationError: the table lacks a column, or its type cannot be converted to the variable's.
        """
        there = {column.name: column for column in columns}
        if absent := sorted({*(one.column for one in self.variables.values()), *self.keep} - set(there)):
            raise DeclarationError(f"the table has no column {some(absent)}, which the mapping names")
        known = {one.code: one for one in self.definitions}
        for code, variable in self.variables.items():
            _check_types(known[code], variable, there[variable.column])
        made = tuple(_column(known[code], there[variable.column]) for code, variable in sorted(self.variables.items()))
        return Mapper(self, made + tuple(there[name] for name in self.keep))


class Mapper(NamedTuple):
    """A mapping that fits a table, and the resulting columns."""

    mapping: Mapping
    columns: tuple[Column, ...]

    def map(self, table: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[str, Complaint]]]:
        """Return a batch of mapped values, and each complaint with the column that it is about."""
        values, complaints = [], []
        kinds = {column.name: column.kind for column in self.columns}
        for definition in self.mapping.definitions:
            if (variable := self.mapping.variables.get(definition.code)) is None:
                continue
            given = table[variable.column]
            mapped = _mapped(given, definition, variable, kinds[definition.code])
            values.append(mapped.alias(definition.code))
            complaints += [(variable.column, one) for one in _complaints(given, mapped, definition) if one.rows.any()]
        return pl.DataFrame(values + [table[name] for name in self.mapping.keep]), complaints


class _Published(Strict):
    variables: Definitions = Field(min_length=1)


def definitions_of(path: Path) -> tuple[Definition, ...]:
    """Read a project's variables from a TOML file with [[variables]], such as the terms of the project.

    Raises:
        DeclarationError: the file is not TOML, or an entry is not a valid variable.
    """
    try:
        published = _Published.model_validate({"variables": read_toml(path).get("variables", ())}, strict=False)
    except ValidationError as error:
        raise DeclarationError(f"{path.name}: {in_words(error)}") from None
    return published.variables


def of_version(datasets: DatasetStore, name: str) -> Mapping | None:
    """Return the mapping that was applied to the newest version of a dataset, or None.

    Raises:
        DamagedDatasetError: the mapping cannot be read or is not the one that was applied.
    """
    if not datasets.versions(name) or (described := datasets.describe(name)).mapping is None:
        return None
    try:
        mapping = Mapping.model_validate_json((datasets.folder(name) / NAME).read_bytes())
    except (OSError, ValidationError):
        mapping = None
    if mapping is None or mapping.digest != described.mapping:
        raise DamagedDatasetError(f"the mapping of {name} version {described.version} is missing or was changed")
    return mapping


def _check_types(definition: Definition, variable: MappedVariable, column: Column) -> None:
    place = f"{definition.code}: column {variable.column}"
    if definition.type == "category":
        if column.kind in {ColumnKind.REAL, ColumnKind.DATE}:
            raise DeclarationError(f"{place} holds {column.kind}s, which are no categories")
        if not variable.categories and column.kind is ColumnKind.TEXT:
            raise DeclarationError(f"{place} holds text; say which number each value is: categories = {{ ... }}")
    elif column.kind not in NUMERIC:
        raise DeclarationError(f"{place} is {column.kind} and cannot be {definition.type}")
    if (
        definition.type in {"integer", "real"}
        and (variable.factor, variable.offset) == (1.0, 0.0)
        and column.unit
        and definition.unit
        and column.unit != definition.unit
    ):
        raise DeclarationError(f"{place} is in {column.unit}, the project asks for {definition.unit}: say the factor")


def _column(definition: Definition, column: Column) -> Column:
    return Column(
        name=definition.code,
        kind=ColumnKind(definition.type),
        missing=0,  # counted when the values are stored
        header=column.header or column.name,
        label=definition.label,
        unit=definition.unit,
        categories={one.label: one.number for one in definition.categories} or None,
        low=definition.low,
        high=definition.high,
    )


def _mapped(given: pl.Series, definition: Definition, variable: MappedVariable, kind: ColumnKind) -> pl.Series:
    if variable.categories:
        text = given.cast(pl.Int8).cast(pl.String) if given.dtype == pl.Boolean else given.cast(pl.String)
        return text.replace_strict(variable.categories, default=None, return_dtype=pl.Int64)
    numbers = given.cast(pl.Float64)
    if kind is ColumnKind.CATEGORY:
        known = numbers.is_in([float(one.number) for one in definition.categories])
        return numbers.set(~known.fill_null(value=True), None).cast(pl.Int64)
    if kind is ColumnKind.BOOLEAN:
        return numbers.set(~numbers.is_in([0.0, 1.0]).fill_null(value=True), None).cast(pl.Boolean)
    numbers = numbers * variable.factor + variable.offset
    if kind is ColumnKind.REAL:
        return numbers
    return numbers.set((numbers != numbers.round()).fill_null(value=False), None).cast(pl.Int64)


def _complaints(given: pl.Series, mapped: pl.Series, definition: Definition) -> Iterator[Complaint]:
    code = definition.code
    lost = given.is_not_null() & mapped.is_null()
    yield Complaint(lost, f"{code}: has no {'category' if definition.type == 'category' else definition.type}")
    if definition.low is not None:
        yield Complaint((mapped < definition.low).fill_null(value=False), f"{code}: below {definition.low:g}")
    if definition.high is not None:
        yield Complaint((mapped > definition.high).fill_null(value=False), f"{code}: above {definition.high:g}")
