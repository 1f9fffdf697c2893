"""Common data elements: the variables of a project, as its coordinator publishes them and its sites map to them.

A variable is named by its code; queries ask for codes. Categories are numbers that mean the same at every site.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FiniteFloat, StringConstraints, model_validator

from participant.statistics.language.query import MAX_COLUMNS, Name, Strict

Words = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,200}$")]
Unit = Annotated[str, StringConstraints(pattern=r"^[!-~]{0,16}$")]


class CategoryLabel(Strict):
    """A category: the number that stands for it, and what it means."""

    number: int = Field(ge=-(2**31), lt=2**31)
    label: Words


class Definition(Strict):
    """A variable.

    Attributes:
        code: its name in queries.
        label: what it is, in words.
        type: of its values; those of a category are numbers of `categories`.
        unit: of a number, in UCUM's spelling where it has one (`kg`, `mmol/L`, `a` for years).
        categories: of a category, ascending by number.
        low, high: the range of a number.
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
            raise ValueError("a category has categories, and nothing else has")
        if numbers != sorted(set(numbers)):
            raise ValueError("categories ascend by their numbers, each once")
        if self.type not in {"integer", "real"} and (self.unit or self.low is not None or self.high is not None):
            raise ValueError("unit and range belong to integers and reals")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError("the range needs low < high")
        return self


def _ordered(definitions: tuple[Definition, ...]) -> tuple[Definition, ...]:
    if len({one.code for one in definitions}) < len(definitions):
        raise ValueError("a code is defined twice")
    return tuple(sorted(definitions, key=lambda one: one.code))


Definitions = Annotated[tuple[Definition, ...], Field(max_length=MAX_COLUMNS), AfterValidator(_ordered)]
"""The variables of a project, sorted by code."""
