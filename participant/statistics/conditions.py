"""Row filters: comparisons joined by *and* and *or*, as data and never as text.

There is no *not* on the wire, and none is needed: every comparison has its opposite, and de Morgan's laws carry a
negation down to them (`negated`). A missing value meets no comparison, not even ``!=`` - and so neither a condition
nor its negation, as in SQL's WHERE.

One meaning should have one encoding: conditions are sorted by their bytes, repetitions fall away, and what is nested
for nothing (an *and* in an *and*, an *or* of one) is unfolded.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import rfc8785
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, FiniteFloat, StringConstraints, Tag

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
MAX_COMPARISONS = 32

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""Name of a dataset, column or statistic: it can be shown, logged and be part of a path as it is."""

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
    """What everything inside a query has in common: unknown members and wrong types are refused, nothing changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Comparison(Strict):
    """One condition on a row; a missing value meets no condition, not even ``!=``."""

    column: Name
    op: Operator
    value: FiniteFloat

    def meets(self, column: NDArray[np.float64]) -> Mask:
        """Return which values are there and compare as asked, (rows,) bool."""
        return _OPERATORS[self.op](column, self.value) & ~np.isnan(column)


def ordered(conditions: "tuple[Condition, ...]") -> "tuple[Condition, ...]":
    """Return conditions that must all hold, in their canonical form."""
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
    """Say which of the three a value is meant to be, so that complaints are about that one."""
    given = value if isinstance(value, dict) else {type(value).__name__.lower().removesuffix("of"): None}
    return next((tag for tag in ("any", "all") if tag in given), "comparison")


Condition = Annotated[
    Annotated[Comparison, Tag("comparison")] | Annotated[AnyOf, Tag("any")] | Annotated[AllOf, Tag("all")],
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
    """Return what a condition joins; nothing for a comparison."""
    if isinstance(condition, Comparison):
        return ()
    return condition.any if isinstance(condition, AnyOf) else condition.all


def comparisons(conditions: Iterable[Condition]) -> Iterator[Comparison]:
    """Return the comparisons of which conditions are made."""
    for condition in conditions:
        if isinstance(condition, Comparison):
            yield condition
        else:
            yield from comparisons(parts(condition))


def negated(condition: Condition) -> Condition:
    """Return the condition that rows with all values meet exactly where they do not meet this one."""
    if isinstance(condition, Comparison):
        return condition.model_copy(update={"op": _OPPOSITES[condition.op]})
    inner = tuple(negated(part) for part in parts(condition))
    return AllOf(all=inner) if isinstance(condition, AnyOf) else AnyOf(any=inner)


def meets(condition: Condition, columns: Mapping[str, NDArray[np.float64]]) -> Mask:
    """Return which rows meet a condition, (rows,) bool."""
    if isinstance(condition, Comparison):
        return condition.meets(columns[condition.column])
    join = np.logical_or if isinstance(condition, AnyOf) else np.logical_and
    result: Mask = join.reduce([meets(part, columns) for part in parts(condition)])
    return result


def in_words(conditions: Iterable[Condition]) -> str:
    """Return conditions that must all hold as a phrase, such as ``age is at least 50 and sex is 1``."""
    return " and ".join(_phrase(condition) for condition in conditions)


def _phrase(condition: Condition) -> str:
    if isinstance(condition, Comparison):
        return f"{condition.column} {_WORDS[condition.op]} {condition.value:g}"
    word = " or " if isinstance(condition, AnyOf) else " and "
    return "(" + word.join(_phrase(part) for part in parts(condition)) + ")"
