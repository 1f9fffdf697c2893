"""Spearman's rank correlations of several variables, on agreed grids.

Each variable is ranked on a grid from `low` in steps of `width`; rows in one step are tied and share the mean of their
ranks (`ranks`). The coefficient is Pearson's of the ranks, so ties need no correction; for values on the grid, it is
that of the pooled rows. With n rows that have all the variables, t, p-value and degrees of freedom are those of
`correlation`, and the interval is Fisher's with Bonett and Wright's variance, (1 + r^2 / 2) / (n - 3).

Rounds: one of `histogram` for each variable, which gives the ranks; then one of `gram` of the ranks (two more if
ranges must be found): each site looks up its rows' ranks in steps of the grid. If a site is lost, everything starts
over with the remaining sites. Disclosure: that of `histogram` and `gram`. A site with a step of fewer than
`minimum_persons` rows leaves out its histogram; ranks are then those of the other sites, and a warning says so. Wider
steps keep it.

    analysis = "spearman"
    dataset = "lung"
    variables = [
        {column = "age", low = 18, high = 100, width = 1},
        {column = "wt.loss", low = -50, high = 100, width = 1},
    ]
    minimum_persons = 1
    row_limit = 1000

Sources: Spearman 1904, Am J Psychol 15:72; Bonett, Wright 2000, Psychometrika 65:23, for the interval.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field, FiniteFloat

from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.declared import refusal
from participant.analyses.base.errors import CollinearityError
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.hypothesis.correlation import CorrelationResult, correlations
from participant.analyses.sums.ranks import Ranks, steps_between
from participant.statistics.evaluation.registry import HISTOGRAM
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Numeric, Steps
from participant.statistics.models.variables import Variable, distinct
from participant.statistics.vocabulary.histogram import HistogramParams, Measured


class Ranked(Variable):
    """A variable with its declared range, and the step of the grid on which it is ranked."""

    width: FiniteFloat = Field(gt=0)

    @property
    def cells(self) -> int:
        """Number of steps of the grid; raises SpecError if there are too many."""
        return steps_between(self.low, self.high, self.width)


def _distinct(variables: tuple[Ranked, ...]) -> tuple[Ranked, ...]:
    distinct(variables)
    return variables


class SpearmanSpec(TableSpec):
    """Two or more `variables`, each with its grid."""

    analysis: Literal["spearman"] = "spearman"
    variables: Annotated[tuple[Ranked, ...], Field(min_length=2, max_length=20), AfterValidator(_distinct)]

    async def analyse(self, secure_sum: SecureSum) -> "SpearmanResult":
        """Run the analysis; raises the same errors as `correlate_ranks`."""
        return await over_one_cohort(partial(correlate_ranks, self), secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpearmanResult(CorrelationResult):
    """The rank correlations, with the attributes of `CorrelationResult`."""

    analysis: ClassVar[str] = "spearman"

    @property
    def title(self) -> str:
        return "Spearman's rank correlations"


async def correlate_ranks(spec: SpearmanSpec, secure_sum: SecureSum) -> SpearmanResult:
    """Compute the rank correlations of the variables of `spec`.

    Raises:
        SpecError: a grid has too many steps.
        NoRowsError: fewer than three rows have all the variables.
        CollinearityError: all values of a variable are tied.
        PrecisionError: the sums are too coarse.
    """
    ranked = [await _ranks(spec, variable, secure_sum) for variable in spec.variables]
    found = await correlations(spec, tuple(factor for factor, _, _ in ranked), secure_sum, spread=0.5)
    warnings = list(dict.fromkeys(text for _, _, texts in ranked for text in texts))
    if {rows for _, rows, _ in ranked} != {found.rows}:
        warnings.append("ranks and correlations cover different rows; wider steps keep more of them")
    return SpearmanResult(
        names=tuple(variable.column for variable in spec.variables),
        r=found.r,
        pairs=found.pairs,
        rows=found.rows,
        sites=found.sites,
        warnings=tuple(dict.fromkeys((*warnings, *found.warnings))),
    )


async def _ranks(spec: SpearmanSpec, variable: Ranked, secure_sum: SecureSum) -> tuple[Numeric, int, list[str]]:
    """Return a variable's ranks as a step function, about their mean and within -1 to 1; its rows, and warnings."""
    params = HistogramParams(
        quantity=Measured(column=variable.column, low=variable.low, high=variable.high),
        by=(),
        origin=variable.low,
        width=variable.width,
        edges=tuple(range(variable.cells)),
        sums=False,
        row_limit=spec.row_limit,
    )
    others = tuple(one.column for one in spec.variables)
    answer = await secure_sum(spec.ask(HISTOGRAM, params, secure_sum.value_bits, complete=others))
    counts, warnings = answer.values["counts"], spec.warn_of_withheld(answer.values)
    if not counts.any():
        raise refusal("across all sites, no row meets the filter and has all values", warnings)
    if np.count_nonzero(counts) < 2:
        raise CollinearityError((variable.column,), "all rows are in one step of the grid, so there are no ranks")
    ranks = Ranks.of(counts)
    values: Array = (ranks.midranks - (ranks.rows + 1) / 2) / ranks.rows * 2
    steps = Steps(origin=variable.low, width=variable.width, values=tuple(values.tolist()))
    factor = Numeric(column=variable.column, low=variable.low, high=variable.high, function=steps)
    return factor, round(ranks.rows), warnings
