"""Common data elements: a project's variables, published by its coordinator, to which sites map their columns.

A variable's code is its name in queries. Categories are numbers with the same meaning at every site.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FiniteFloat, StringConstraints, model_validator

from participant.statistics.language.query import MAX_COLUMNS, Name, Strict

Words = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,200}$")]
Unit = Annotated[str, StringConstraints(pattern=r"^[!-~]{0,16}$")]


class CategoryLabel(Strict):
    """A category: its number and its meaning."""

    number: int = Field(ge=-(2**31), lt=2**31)
    label: Words


class Definition(Strict):
    """A variable.

    Attributes:
        code: name in queries.
        label: meaning in words.
        type: type of the values; a category's values are the numbers in `categories`.
        unit: unit of a number, in UCUM's spelling if it has one (`kg`, `mmol/L`, `a` for years).
        categories: categories, ascending by number.
        low, high: range of a number.
    """

    code: Name
    label: Words
    type: Literal["integer", "real", "boolean", "category"]
    unit: Unit = ""
    categories: Annotated[tuple[CategoryLabel, ...], Field(max_length=1000)] = ()
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        numbers = [one.number for one in self.categories]
        if (self.type == "category") != bool(numbers):
            raise ValueError("a variable of type category, and no other, must have categories")
        if numbers != sorted(set(numbers)):
            raise ValueError("categories must ascend by number, each listed once")
        if self.type not in {"integer", "real"} and (self.unit or self.low is not None or self.high is not None):
            raise ValueError("only integers and reals may have a unit and a range")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError("the range needs low < high")
        return self


def _ordered(definitions: tuple[Definition, ...]) -> tuple[Definition, ...]:
    if len({one.code for one in definitions}) < len(definitions):
        raise ValueError("a code is defined twice")
    return tuple(sorted(definitions, key=lambda one: one.code))


Definitions = Annotated[tuple[Definition, ...], Field(max_length=MAX_COLUMNS), AfterValidator(_ordered)]
"""The variables of a project, sorted by code."""
