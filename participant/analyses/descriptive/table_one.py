"""Table one: the characteristics of groups side by side, and their standardised mean differences.

For a number, over the rows that have it: rows, mean and standard deviation (with n - 1) of each group. For a category:
rows of each level and their share. The standardised mean difference of two groups, for a number with means m and
standard deviations s, and for a category with vectors p of the shares of all levels but one:

    number     |m_1 - m_2| / sqrt((s_1^2 + s_2^2) / 2)
    category   sqrt(d' S^-1 d),  d = p_1 - p_2,  S the mean of diag(p) - p p' in both groups

With more than two groups it is the mean over all pairs. It has no number if groups differ without any spread. Values
above 0.1 are usually called imbalanced.

A worked example: of two groups of two, one has the values 1 and 3, the other 3 and 5; both have variance 2, and the
difference is 2 / sqrt(2) = 1.41.

Rounds: one for each number (three if the bounds proven from declared ranges are coarse), one for each category. If a
site is lost, everything starts over with the remaining sites. Disclosure: that of `class-moments` and `contingency`.

    analysis = "table-one"
    dataset = "lung"
    by = {column = "sex", levels = [1, 2]}
    numbers = [{column = "age", low = 18, high = 100}, {column = "wt.loss", low = -50, high = 100}]
    categories = [{column = "ph.ecog", levels = [0, 1, 2]}]
    minimum_persons = 1
    row_limit = 1000

Sources: Austin 2009, Stat Med 28:3083; Yang, Dalton 2012, SAS Global Forum 335, for categories.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import isfinite, sqrt
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.declared import levels_of, occurring, warn_of_other_codes
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.base.text_table import text_table
from participant.analyses.sums.group_moments import class_moments_of
from participant.statistics.evaluation.registry import CONTINGENCY
from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_COLUMNS
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.contingency import ContingencyParams

SINGULAR = 1e-9  # share of the largest eigenvalue that rounding may leave of a zero eigenvalue


class TableOneSpec(TableSpec):
    """The groups `by`, and the `numbers` and `categories` to describe in each."""

    analysis: Literal["table-one"] = "table-one"
    by: Category
    numbers: Annotated[tuple[Variable, ...], Field(max_length=MAX_COLUMNS)] = ()
    categories: Annotated[tuple[Category, ...], Field(max_length=MAX_COLUMNS)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [self.by.column, *(one.column for one in self.numbers), *(one.column for one in self.categories)]
        if len(set(names)) < len(names):
            raise ValueError("a column is listed twice; list each once")
        if len(names) == 1:
            raise ValueError("name at least one number or category")
        return self

    async def analyse(self, secure_sum: SecureSum) -> "TableOneResult":
        """Run the analysis; raises the same errors as `describe_groups`."""
        return await over_one_cohort(partial(describe_groups, self), secure_sum)


class GroupCharacteristic(NamedTuple):
    """One characteristic of one group: its rows that have a value, and mean and standard deviation of a number, or
    members and share of a level.
    """

    group: str
    rows: int
    mean: float | None = None
    sd: float | None = None
    members: int | None = None
    share: float | None = None

    def __str__(self) -> str:
        if self.members is not None:
            return f"{self.members} ({100 * (self.share or 0):.1f} %)"
        return "-" if self.mean is None else f"{self.mean:.5g} ({'-' if self.sd is None else format(self.sd, '.4g')})"


class CharacteristicLine(NamedTuple):
    """A number, or a level of a category: its cells by group, and the difference, given once for each variable."""

    name: str
    cells: tuple[GroupCharacteristic, ...]
    smd: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableOneResult(AnalysisResult):
    """The table.

    Attributes:
        by: column of the groups.
        groups: names of the groups that have rows.
        lines: lines of the table.
        differences: standardised mean difference of each variable, by name; None if it has no number.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "table-one"

    by: str
    groups: tuple[str, ...]
    lines: tuple[CharacteristicLine, ...]
    differences: dict[str, float | None]
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each line and group."""
        return [{"name": line.name, **cell._asdict(), "smd": line.smd} for line in self.lines for cell in line.cells]

    @property
    def title(self) -> str:
        return f"Characteristics by {self.by}"

    def notes(self) -> list[str]:
        rows = [
            {"name": line.name} | {cell.group: str(cell) for cell in line.cells} | {"SMD": line.smd}
            for line in self.lines
        ]
        return [
            *text_table(rows, {"name": "", **dict.fromkeys(self.groups, ""), "SMD": ".3f"}),
            "Mean (standard deviation), or rows (share); SMD is the standardised mean difference.",
        ]


class _Variable(NamedTuple):
    """A variable: its rows in each group, its lines as cells by group, its difference, and what the sums say."""

    name: str
    rows: Array
    lines: dict[str, list[GroupCharacteristic]]
    pairs: Array
    sites: tuple[str, ...]
    warnings: tuple[str, ...]


async def describe_groups(spec: TableOneSpec, secure_sum: SecureSum) -> TableOneResult:
    """Describe the groups of `spec`.

    Raises:
        NoRowsError: a number has no rows, or fewer than two groups have rows.
        PrecisionError: the declared ranges make the sums too coarse.
    """
    found = [await _number(spec, variable, secure_sum) for variable in spec.numbers]
    found += [await _category(spec, category, secure_sum) for category in spec.categories]
    warnings = tuple(dict.fromkeys(text for one in found for text in one.warnings))
    there, absent = occurring(spec.by, np.max([one.rows for one in found], axis=0), warnings)
    inside = [(i, j) for i, j in combinations(there.tolist(), 2)]
    differences = {one.name: _known(float(np.mean([one.pairs[pair] for pair in inside]))) for one in found}
    return TableOneResult(
        by=spec.by.column,
        groups=tuple(levels_of(spec.by)[place] for place in there),
        lines=tuple(
            CharacteristicLine(
                name, tuple(cells[place] for place in there), differences[one.name] if number == 0 else None
            )
            for one in found
            for number, (name, cells) in enumerate(one.lines.items())
        ),
        differences=differences,
        sites=found[-1].sites,
        warnings=(*warnings, *absent),
    )


async def _number(spec: TableOneSpec, variable: Variable, secure_sum: SecureSum) -> _Variable:
    moments = await class_moments_of(spec, secure_sum, (spec.by,), variable)
    cells = [
        GroupCharacteristic(group, round(float(n)), mean=_known(float(mean)), sd=_known(float(sd)))
        for group, n, mean, sd in zip(levels_of(spec.by), moments.rows, moments.means, moments.sd, strict=True)
    ]
    means, sd = moments.means, moments.sd
    pairs = [_of_numbers(means[[i, j]], sd[[i, j]]) for i, j in _pairs(len(means))]
    return _Variable(
        variable.column,
        moments.rows,
        {variable.column: cells},
        _square(len(means), pairs),
        moments.sites,
        moments.warnings,
    )


async def _category(spec: TableOneSpec, category: Category, secure_sum: SecureSum) -> _Variable:
    by = (category, spec.by)
    answer = await secure_sum(
        spec.ask(CONTINGENCY, ContingencyParams(by=by, row_limit=spec.row_limit), secure_sum.value_bits)
    )
    counts = answer.values["counts"][:-1, :-1]
    rows = counts.sum(axis=0)
    shares = counts / np.maximum(rows, 1)
    lines = {
        level: [
            GroupCharacteristic(group, round(float(n)), members=round(float(count)), share=float(share))
            for group, n, count, share in zip(levels_of(spec.by), rows, counts[place], shares[place], strict=True)
        ]
        for place, level in enumerate(levels_of(category))
    }
    pairs = [_of_shares(shares[:, [i, j]].T) if rows[i] and rows[j] else np.nan for i, j in _pairs(len(rows))]
    warnings = (*spec.warn_of_withheld(answer.values), *warn_of_other_codes(by, answer.values["counts"]))
    return _Variable(category.column, rows, lines, _square(len(rows), pairs), answer.sites, warnings)


def _pairs(groups: int) -> Iterator[tuple[int, int]]:
    return combinations(range(groups), 2)


def _square(groups: int, pairs: Sequence[float]) -> Array:
    square = np.zeros((groups, groups))
    for (i, j), difference in zip(_pairs(groups), pairs, strict=True):
        square[i, j] = difference
    return square


def _of_numbers(means: Array, sd: Array) -> float:
    off, spread = abs(float(means[0] - means[1])), sqrt(float((sd**2).mean()))
    if spread:
        return off / spread
    return 0.0 if off == 0 else np.nan  # NaN as well where a group has no mean


def _of_shares(shares: Array) -> float:
    """Return the difference of two vectors of shares, (2, levels); NaN if they differ without any spread."""
    one, two = shares[:, 1:]
    spread = sum(np.diag(p) - np.outer(p, p) for p in (one, two)) / 2
    inverse = np.linalg.pinv(spread, rtol=SINGULAR, hermitian=True)
    off = one - two
    if np.abs(off - spread @ inverse @ off).max() > SINGULAR:
        return np.nan
    return sqrt(max(float(off @ inverse @ off), 0.0))


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
