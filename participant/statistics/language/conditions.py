"""Row filters: comparisons and folds joined by *and* and *or*, as data and never as text.

The wire format has no *not* and needs none: every comparison has its opposite, and de Morgan's laws push a
negation down to them (`negated`). A missing value meets no comparison, not even ``!=``; so it meets neither a condition
nor its negation, as in SQL's WHERE.

A fold is a share of the rows for cross-validation, chosen by the rows' own values (`Fold`): sites need not agree on its
members, and they do not depend on how the rows are distributed over the sites. Anyone who knows a row's values in the
fold's columns knows its fold, and can search for a seed that moves it: a fold singles out rows no better than
comparisons with the same values, and obeys the same rules. The limit of twenty folds keeps each at about a twentieth of
all rows or more.

Each meaning has one encoding: conditions are sorted by their bytes, duplicates are removed, and superfluous nesting (an
*and* in an *and*, an *or* of one) is flattened.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
import rfc8785
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    StringConstraints,
    Tag,
    model_validator,
)

from participant.statistics.language.draws import drawn

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
MAX_COMPARISONS = 32
MAX_FOLDS = 20

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""Name of a dataset, column or statistic, safe to show, to log and to use in a path."""

Operator = Literal["==", "!=", "<", "<=", ">", ">="]
Mask = NDArray[np.bool_]

_OPERATORS: Mapping[str, Callable[[NDArray[np.float64], float], Mask]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPPOSITES: Mapping[Operator, Operator] = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_WORDS = {
    "==": "is",
    "!=": "is not",
    "<": "is below",
    "<=": "is at most",
    ">": "is above",
    ">=": "is at least",
}


class Strict(BaseModel):
    """Base class of everything inside a query: frozen, rejecting unknown members and wrong types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Comparison(Strict):
    """A comparison of one column with a value; a missing value meets no comparison, not even ``!=``."""

    column: Name
    op: Operator
    value: FiniteFloat

    @property
    def columns(self) -> tuple[Name, ...]:
        return (self.column,)

    def meets(self, column: NDArray[np.float64]) -> Mask:
        """Return whether each value is present and meets the comparison, (rows,) bool."""
        return _OPERATORS[self.op](column, self.value) & ~np.isnan(column)


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(set(values)))


class Fold(Strict):
    """The rows of some folds; a row with a missing value in one of the columns is in no fold.

    Attributes:
        columns: columns whose values determine a row's fold, sorted; rows with equal values share a fold.
        of: number of folds.
        folds: selected folds, numbered from 0, sorted; never all of them.
        seed: seed that determines the folds.
    """

    columns: Annotated[tuple[Name, ...], Field(min_length=1, max_length=512), AfterValidator(_each_once)]
    of: int = Field(ge=2, le=MAX_FOLDS)
    folds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_each_once)]
    seed: int = Field(ge=0, lt=1 << 32)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.folds[-1] >= self.of or len(self.folds) == self.of:
            raise ValueError(f"the folds must be some of 0 to {self.of - 1}, but not all")
        return self

    @property
    def others(self) -> "Fold":
        """The rows of all other folds."""
        return self.model_copy(update={"folds": tuple(sorted(set(range(self.of)) - set(self.folds)))})

    def meets(self, columns: Mapping[str, NDArray[np.float64]]) -> Mask:
        """Return whether each row is in the folds, (rows,) bool."""
        values = [columns[name] for name in self.columns]
        there = ~np.logical_or.reduce([np.isnan(value) for value in values])
        chosen = np.zeros(self.of, np.bool_)
        chosen[list(self.folds)] = True
        inside: Mask = chosen[drawn(values, self.seed) % np.uint64(self.of)] & there
        return inside


def ordered(conditions: "tuple[Condition, ...]") -> "tuple[Condition, ...]":
    """Return the canonical form of conditions that must all hold."""
    return _ordered(conditions, AllOf)


def _ordered_any(conditions: "tuple[Condition, ...]") -> "tuple[Condition, ...]":
    return _ordered(conditions, AnyOf)


class AnyOf(Strict):
    """At least one of two or more conditions holds."""

    any: Annotated[tuple["Condition", ...], Field(min_length=1), AfterValidator(_ordered_any)]


class AllOf(Strict):
    """All of two or more conditions hold."""

    all: Annotated[tuple["Condition", ...], Field(min_length=1), AfterValidator(ordered)]


def _tag(value: Any) -> str:
    """Return the type, of four, that a value is meant to be, so that errors refer to that type."""
    given = value if isinstance(value, dict) else {type(value).__name__.lower().removesuffix("of"): None}
    if "folds" in given:
        return "fold"
    return next((tag for tag in ("any", "all", "fold") if tag in given), "comparison")


Condition = Annotated[
    Annotated[Comparison, Tag("comparison")]
    | Annotated[Fold, Tag("fold")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[AllOf, Tag("all")],
    Discriminator(_tag),
]

AnyOf.model_rebuild()
AllOf.model_rebuild()


def _ordered(conditions: tuple[Condition, ...], around: type[AnyOf | AllOf]) -> tuple[Condition, ...]:
    pending, flat = list(conditions), []
    while pending:
        condition = pending.pop()
        inner = parts(condition)
        if inner and (isinstance(condition, around) or len(inner) == 1):
            pending.extend(inner)
        else:
            flat.append(condition)
    by_bytes = {rfc8785.dumps(condition.model_dump(mode="json")): condition for condition in flat}
    return tuple(condition for _, condition in sorted(by_bytes.items()))


def parts(condition: Condition) -> tuple[Condition, ...]:
    """Return the conditions joined by this one; a comparison or fold joins none."""
    if isinstance(condition, Comparison | Fold):
        return ()
    return condition.any if isinstance(condition, AnyOf) else condition.all


def comparisons(conditions: Iterable[Condition]) -> Iterator[Comparison | Fold]:
    """Return the comparisons and folds within conditions."""
    for condition in conditions:
        if isinstance(condition, Comparison | Fold):
            yield condition
        else:
            yield from comparisons(parts(condition))


def negated(condition: Condition) -> Condition:
    """Return the condition that a complete row meets if and only if it does not meet this one."""
    if isinstance(condition, Comparison):
        return condition.model_copy(update={"op": _OPPOSITES[condition.op]})
    if isinstance(condition, Fold):
        return condition.others
    inner = tuple(negated(part) for part in parts(condition))
    return AllOf(all=inner) if isinstance(condition, AnyOf) else AnyOf(any=inner)


def meets(condition: Condition, columns: Mapping[str, NDArray[np.float64]]) -> Mask:
    """Return whether each row meets a condition, (rows,) bool."""
    if isinstance(condition, Comparison):
        return condition.meets(columns[condition.column])
    if isinstance(condition, Fold):
        return condition.meets(columns)
    join = np.logical_or if isinstance(condition, AnyOf) else np.logical_and
    result: Mask = join.reduce([meets(part, columns) for part in parts(condition)])
    return result


def in_words(conditions: Iterable[Condition]) -> str:
    """Return conditions that must all hold as a phrase, for example ``age is at least 50 and sex is 1``."""
    return " and ".join(_phrase(condition) for condition in conditions)


def _phrase(condition: Condition) -> str:
    if isinstance(condition, Comparison):
        return f"{condition.column} {_WORDS[condition.op]} {condition.value:g}"
    if isinstance(condition, Fold):
        return (
            f"the row is in fold {', '.join(map(str, condition.folds))} of {condition.of} "
            f"(by {', '.join(condition.columns)}; seed {condition.seed})"
        )
    word = " or " if isinstance(condition, AnyOf) else " and "
    return "(" + word.join(_phrase(part) for part in parts(condition)) + ")"
