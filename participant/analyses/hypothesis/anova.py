"""Analysis of variance with one or two factors, balanced or not.

The sums yield the number n, mean m and sum of squares s of each cell. A model of the cells leaves

    RSS = sum of s + sum of n (m - fit)^2          fit by least squares over the cells, weighted by n

as its residual sum of squares over the rows. The sum of squares of a term is the RSS of a model without it minus that
of one with it; its degrees of freedom are the difference of their ranks. F divides its mean square by that
of the residuals of the full model. With factors A and B the models are, by `type`,

    1    A, then B given A, then A:B              2    each given all that do not contain it
    3    each given all others, with contrasts that sum to zero

With one factor, all types agree, and the result also has Welch's F (for unequal variances) and Bartlett's test of equal
variances. The sums cover all rows, so these are the pooled tests.

One round (two more if ranges must be found); nothing iterates. Disclosure: that of `class-moments`; a site hides
cells of fewer than `minimum_persons` rows, and the analysis then covers the remaining rows.

    analysis = "anova"
    dataset = "lung"
    outcome = {column = "age", low = 18, high = 100}
    by = [{column = "ph.ecog", levels = [0, 1, 2]}, {column = "sex", levels = [1, 2]}]
    minimum_persons = 1
    row_limit = 1000

Sources: Searle 1987, "Linear Models for Unbalanced Data", chapters 4 and 5; Welch 1951, Biometrika 38:330; Bartlett
1937, Proc R Soc A 160:268.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field

from participant.analyses.base.declared import levels_of, occurring
from participant.analyses.base.errors import CollinearityError, NoRowsError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.base.text_table import text_table
from participant.analyses.sums.group_moments import GroupMoments, class_moments_of
from participant.statistics.language.layout import Array
from participant.statistics.models.cells import few_cells
from participant.statistics.models.design import Category
from participant.statistics.models.special import chdtrc, fdtrc
from participant.statistics.models.variables import Variable

UNEQUAL = 0.05  # p-value of Bartlett's test below which a warning says so


class AnovaSpec(TableSpec):
    """An outcome by one or two factors.

    Attributes:
        outcome: outcome with its declared range.
        by: one or two factors.
        interaction: whether the model has the interaction of two factors.
        type: type of the sums of squares.
    """

    analysis: Literal["anova"] = "anova"
    outcome: Variable
    by: Annotated[tuple[Category, ...], Field(min_length=1, max_length=2), AfterValidator(few_cells)]
    interaction: bool = True
    type: Literal[1, 2, 3] = 2

    async def analyse(self, secure_sum: SecureSum) -> "AnovaResult":
        """Run the analysis; raises the same errors as `analyse_variance`."""
        return await analyse_variance(self, secure_sum)


class AnovaSource(NamedTuple):
    """A line of the variance table: a term, or ``residual``, which has no test."""

    name: str
    sum_of_squares: float
    df: int
    mean_square: float
    f: float | None
    p: float | None
    partial_eta_squared: float | None


class Cell(NamedTuple):
    """A group: number of rows, mean and standard deviation, each if there are enough rows."""

    name: str
    rows: int
    mean: float | None
    sd: float | None


CELLS: Mapping[str, str] = {"name": "", "rows": "d", "mean": ".6g", "sd": ".5g"}


class Test(NamedTuple):
    """A statistic with its degrees of freedom and p-value."""

    statistic: float
    df: tuple[float, ...]
    p: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnovaResult(AnalysisResult):
    """The analysis of variance.

    Attributes:
        type: type of the sums of squares.
        sources: lines of the terms and of the residual.
        groups: all combinations of levels that occur.
        welch: Welch's F, for one factor each of whose levels has two rows and varies; otherwise None.
        bartlett: test of equal variances in the groups, under the same condition.
        r_squared: share of the variance explained.
        rows: number of rows in the analysis.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "anova"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "sum_of_squares": ".6g",
        "df": "d",
        "mean_square": ".6g",
        "f": ".4f",
        "p": ".3g",
        "partial_eta_squared": ".3f",
    }

    type: int
    sources: tuple[AnovaSource, ...]
    groups: tuple[Cell, ...]
    welch: Test | None
    bartlett: Test | None
    r_squared: float
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return the variance table, one dict for each source; None in place of a test that a source does not have."""
        return [source._asdict() for source in self.sources]

    @property
    def title(self) -> str:
        return f"Analysis of variance, sums of squares of type {self.type}"

    def facts(self) -> dict[str, Any]:
        tests = {"Welch's F": self.welch, "Bartlett's test": self.bartlett}
        return {"Rows": self.rows, "R-squared": self.r_squared} | {
            name: f"{test.statistic:.6g} (df {', '.join(f'{df:.5g}' for df in test.df)}; p = {test.p:.3g})"
            for name, test in tests.items()
            if test
        }

    def notes(self) -> list[str]:
        return text_table([cell._asdict() for cell in self.groups], CELLS)


async def analyse_variance(spec: AnovaSpec, secure_sum: SecureSum) -> AnovaResult:
    """Run the analysis that `spec` describes.

    Raises:
        NoRowsError: a factor has one level, or no rows are left for the residuals.
        CollinearityError: the outcome is constant within the groups; the factors are confounded; or there are
            no rows for some combination of levels, and type 3 needs all.
        PrecisionError: the declared ranges make the sums too coarse.
    """
    cells = _Cells.of(spec, await class_moments_of(spec, secure_sum, spec.by, spec.outcome))
    cells.check(spec)
    full = cells.fit(cells.terms(spec))
    if full.df < 1:
        raise NoRowsError(f"{cells.n.sum():.0f} rows across all sites leave none for the residuals")
    if not cells.within:
        raise CollinearityError(
            (spec.outcome.column,),
            "constant within the groups, or varies too little for its declared range; there is no test",
        )
    error = full.rss / full.df
    sources = [_source(*cells.compare(spec, term), error, full) for term in cells.terms(spec)]
    residual = AnovaSource("residual", full.rss, full.df, error, None, None, None)
    total = cells.fit(()).rss
    one = len(spec.by) == 1
    bartlett = _bartlett(cells)
    return AnovaResult(
        type=spec.type,
        sources=(*sources, residual),
        groups=cells.groups,
        welch=_welch(cells) if one else None,
        bartlett=bartlett,
        r_squared=1 - full.rss / total,
        rows=round(float(cells.n.sum())),
        sites=cells.sites,
        warnings=(*cells.warnings, *_warnings(cells, bartlett, interaction=len(cells.terms(spec)) > 2)),
    )


class _Fit(NamedTuple):
    rss: float
    rank: int
    df: int


Term = tuple[int, ...]  # positions of the term's factors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cells:
    """The C cells that have rows; arrays are (C,).

    Attributes:
        names: names of the factors.
        level: (F, C) level of each factor, numbered among those that occur.
        n, mean, squares: number of rows, mean and sum of squares of each cell.
        groups: all cells by name, including empty ones.
    """

    names: tuple[str, ...]
    level: Array
    n: Array
    mean: Array
    squares: Array
    groups: tuple[Cell, ...]
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, spec: AnovaSpec, found: GroupMoments) -> "_Cells":
        warnings, kept = list(found.warnings), []
        for axis, category in enumerate(spec.by):
            others = tuple(other for other in range(len(spec.by)) if other != axis)
            there, absent = occurring(category, found.rows.sum(axis=others), found.warnings)
            warnings.extend(absent)
            kept.append(there)
        inner = np.ix_(*kept)
        rows, means, squares, sd = (
            array[inner].ravel() for array in (found.rows, found.means, found.squares, found.sd)
        )
        grid = np.indices([len(levels) for levels in kept]).reshape(len(kept), -1)
        names = [
            ":".join(parts)
            for parts in product(
                *([levels_of(category)[i] for i in levels] for category, levels in zip(spec.by, kept, strict=True))
            )
        ]
        filled = rows > 0
        return cls(
            names=tuple(category.column for category in spec.by),
            level=grid[:, filled].astype(np.float64),
            n=rows[filled],
            mean=means[filled],
            squares=squares[filled],
            groups=tuple(
                Cell(name, round(float(n)), float(m) if n else None, float(s) if n > 1 else None)
                for name, n, m, s in zip(names, rows, means, sd, strict=True)
            ),
            sites=found.sites,
            warnings=tuple(warnings),
        )

    @property
    def within(self) -> float:
        return float(self.squares.sum())

    @property
    def empty(self) -> list[str]:
        return [cell.name for cell in self.groups if not cell.rows]

    def terms(self, spec: AnovaSpec) -> tuple[Term, ...]:
        mains: tuple[Term, ...] = tuple((factor,) for factor in range(len(self.names)))
        return (*mains, (0, 1)) if len(mains) == 2 and spec.interaction else mains

    def fit(self, terms: tuple[Term, ...]) -> _Fit:
        """Fit intercept and terms to the cell means."""
        contrasts = [self._contrasts(term) for term in terms]
        weight = np.sqrt(self.n)[:, np.newaxis]
        x = weight * np.column_stack([np.ones((len(self.n), 1)), *contrasts])
        y = weight[:, 0] * (self.mean - np.average(self.mean, weights=self.n))
        fit, _, rank, _ = np.linalg.lstsq(x, y, rcond=1e-10)
        off = y - x @ fit
        return _Fit(self.within + float(off @ off), int(rank), round(float(self.n.sum())) - int(rank))

    def check(self, spec: AnovaSpec) -> None:
        """Raise CollinearityError if the cells do not identify the terms."""
        terms = self.terms(spec)
        if self.fit(terms[: len(self.names)]).rank < 1 + sum(int(level.max()) for level in self.level):
            raise CollinearityError(
                self.names, "no combination of levels links these factors, so their effects are confounded"
            )
        if spec.type == 3 and len(terms) > 2 and self.empty:
            raise CollinearityError(
                self.names,
                f"no row has {', '.join(self.empty)}; sums of squares of type 3 need every combination, so use type 2",
            )

    def compare(self, spec: AnovaSpec, term: Term) -> tuple[str, _Fit, _Fit]:
        """Return the term's name, and the fits without and with it, whose difference is its sum of squares."""
        terms = self.terms(spec)
        if spec.type == 1:
            beside = terms[: terms.index(term)]
        elif spec.type == 2:
            beside = tuple(other for other in terms if not set(term) <= set(other))
        else:
            beside = tuple(other for other in terms if other != term)
        name = ":".join(self.names[factor] for factor in term)
        return name, self.fit(beside), self.fit((*beside, term))

    def _contrasts(self, term: Term) -> Array:
        """Return the covariates of a term, (C, k): contrasts that sum to zero, or their products."""
        columns = np.ones((len(self.n), 1))
        for factor in term:
            level = self.level[factor][:, np.newaxis]
            last = level.max()
            coded = (level == np.arange(last)).astype(np.float64) - (level == last)
            columns = (columns[:, :, np.newaxis] * coded[:, np.newaxis, :]).reshape(len(self.n), -1)
        return columns


def _source(name: str, without: _Fit, with_: _Fit, error: float, full: _Fit) -> AnovaSource:
    df, squares = with_.rank - without.rank, max(without.rss - with_.rss, 0.0)
    if not df:
        return AnovaSource(name, 0.0, 0, 0.0, None, None, None)
    f = squares / df / error
    return AnovaSource(name, squares, df, squares / df, f, float(fdtrc(df, full.df, f)), squares / (squares + full.rss))


def _welch(cells: _Cells) -> Test | None:
    if cells.n.min() < 2 or not cells.squares.all():
        return None
    k, weight = len(cells.n), cells.n * (cells.n - 1) / cells.squares
    mean = np.average(cells.mean, weights=weight)
    spread = float((((1 - weight / weight.sum()) ** 2) / (cells.n - 1)).sum()) / (k * k - 1)
    f = float((weight * (cells.mean - mean) ** 2).sum() / (k - 1) / (1 + 2 * (k - 2) * spread))
    df = 1 / (3 * spread)
    return Test(f, (float(k - 1), df), float(fdtrc(k - 1, df, f)))


def _bartlett(cells: _Cells) -> Test | None:
    if cells.n.min() < 2 or not cells.squares.all():
        return None
    k, free = len(cells.n), cells.n - 1
    variance, total = cells.squares / free, float(free.sum())
    correction = 1 + (float((1 / free).sum()) - 1 / total) / (3 * (k - 1))
    statistic = (total * np.log(cells.within / total) - float(free @ np.log(variance))) / correction
    return Test(float(statistic), (float(k - 1),), float(chdtrc(k - 1, statistic)))


def _warnings(cells: _Cells, bartlett: Test | None, *, interaction: bool) -> list[str]:
    found = []
    if cells.empty and interaction:
        found.append(f"no row has {', '.join(cells.empty)}: the interaction has fewer degrees of freedom")
    if bartlett and bartlett.p < UNEQUAL:
        found.append(f"the variances differ between the groups (Bartlett's test, p = {bartlett.p:.2g})")
    return found
