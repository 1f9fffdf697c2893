"""Wilcoxon's signed-rank test of two measurements of the same patients.

The differences d = variable - paired_with are rounded to a grid of multiples of `width`, and their sizes ranked
(`ranks`); for values on the grid this is the test of the pooled rows. Differences of zero are left out, as Wilcoxon
did. With n others, W the sum of the ranks of positive ones, and T from the ties:

    z = (W - n (n + 1) / 4) / sqrt((n (n + 1) (2 n + 1) - T / 2) / 24)

The counts are whole numbers and exact. A worked example: differences 1, 1, -1, 2 and 0 have sizes with ranks 2, 2, 2
and 4; W = 8 of 10.

One round. Disclosure: that of `histogram` of the difference: a site with a step of fewer than `minimum_persons` rows
leaves out its whole table; the test then covers the other sites, and a warning says so. Wider steps keep it.

    analysis = "signed-rank"
    dataset = "lung"
    variable = {column = "ph.karno", low = 0, high = 100}
    paired_with = {column = "pat.karno", low = 0, high = 100}
    width = 10
    minimum_persons = 1
    row_limit = 1000

Source: Wilcoxon 1945, Biometrics Bull 1:80; Lehmann 2006, "Nonparametrics", sections 3.2 and 3.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from participant.analyses.base.declared import refusal, warn_of_outside
from participant.analyses.base.errors import CollinearityError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.ranks import Ranks, steps_between
from participant.statistics.evaluation.registry import HISTOGRAM
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.special import ndtr
from participant.statistics.models.variables import Variable, distinct
from participant.statistics.vocabulary.histogram import HistogramParams, Predicted


class SignedRankSpec(TableSpec):
    """A comparison of paired values by ranks.

    Attributes:
        variable, paired_with: the two measurements with their declared ranges.
        width: step of the grid on which differences are ranked.
        alternative: whether the first measurement tends to smaller or larger values, or either.
    """

    analysis: Literal["signed-rank"] = "signed-rank"
    single_sum: ClassVar[bool] = True
    variable: Variable
    paired_with: Variable
    width: FiniteFloat = Field(gt=0)
    alternative: Literal["two-sided", "less", "greater"] = "two-sided"

    @model_validator(mode="after")
    def _check(self) -> Self:
        distinct((self.variable, self.paired_with))
        return self

    @property
    def cells(self) -> int:
        """Number of steps of the grid; raises SpecError if there are too many."""
        low, high = self.reach
        return steps_between(low, high, self.width)

    @property
    def reach(self) -> tuple[float, float]:
        """Least and largest difference within the declared ranges."""
        return self.variable.low - self.paired_with.high, self.variable.high - self.paired_with.low

    async def analyse(self, secure_sum: SecureSum) -> "SignedRankResult":
        """Run the analysis; raises the same errors as `compare_pairs`."""
        return await compare_pairs(self, secure_sum)


class Signs(NamedTuple):
    """Rows whose difference is ``below``, ``zero`` or ``above``: their number, and the sum of the ranks of its size."""

    name: str
    rows: int
    rank_sum: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignedRankResult(AnalysisResult):
    """The test.

    Attributes:
        signs: rows by the sign of their difference.
        statistic: sum of the ranks of positive differences.
        z, p: its normal approximation, and p-value.
        alternative: alternative hypothesis.
        rows: number of rows, including those without a difference.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "signed-rank"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "rows": "d", "rank_sum": ".1f"}

    signs: tuple[Signs, ...]
    statistic: float
    z: float
    p: float
    alternative: str
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each sign."""
        return [one._asdict() for one in self.signs]

    @property
    def title(self) -> str:
        return "Wilcoxon's signed-rank test"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "W": self.statistic,
            "z": self.z,
            "p": f"{self.p:.3g}",
            "Alternative": self.alternative,
        }


async def compare_pairs(spec: SignedRankSpec, secure_sum: SecureSum) -> SignedRankResult:
    """Run the test that `spec` describes.

    Raises:
        SpecError: the grid has too many steps.
        NoRowsError: there are no rows.
        CollinearityError: no row has a difference.
    """
    low, high = spec.reach
    steps = np.arange(round(low / spec.width), round(low / spec.width) + max(spec.cells, 1) + 1)
    params = HistogramParams(
        quantity=_difference(spec, low, high),
        by=(),
        origin=-spec.width / 2,  # so that each multiple of the width is in the middle of its step
        width=spec.width,
        edges=tuple(steps[1:].tolist()),
        sums=False,
        row_limit=spec.row_limit,
    )
    answer = await secure_sum(spec.ask(HISTOGRAM, params, secure_sum.value_bits))
    counts = answer.values["counts"]
    warnings = [
        *spec.warn_of_withheld(answer.values),
        *warn_of_outside((f"{spec.variable.column} - {spec.paired_with.column}",), (float(answer.values["outside"]),)),
    ]
    if not counts.any():
        raise refusal("across all sites, no row meets the filter and has both values", warnings)
    size = np.abs(steps)
    by_size = np.bincount(size, counts).astype(np.float64)
    by_size[0] = 0.0
    ranks = Ranks.of(by_size)
    if not (n := ranks.rows):
        raise CollinearityError(
            (spec.variable.column, spec.paired_with.column),
            "equal on the grid in all rows, so there is nothing to rank",
        )
    totals = {sign: float(counts[steps * sign > 0] @ ranks.midranks[size[steps * sign > 0]]) for sign in (-1, 1)}
    z = (totals[1] - n * (n + 1) / 4) / sqrt((n * (n + 1) * (2 * n + 1) - ranks.ties / 2) / 24)
    p = {"two-sided": 2 * ndtr(-abs(z)), "less": ndtr(z), "greater": ndtr(-z)}[spec.alternative]
    below, zero, above = (round(float(counts[np.sign(steps) == sign].sum())) for sign in (-1, 0, 1))
    return SignedRankResult(
        signs=(Signs("below", below, totals[-1]), Signs("zero", zero, None), Signs("above", above, totals[1])),
        statistic=totals[1],
        z=z,
        p=float(p),
        alternative=spec.alternative,
        rows=below + zero + above,
        sites=answer.sites,
        warnings=tuple(warnings),
    )


def _difference(spec: SignedRankSpec, low: float, high: float) -> Predicted:
    # The difference is clipped, and counted if so, rather than the two values.
    room = high - low
    pair = tuple(
        (Numeric(column=one.column, low=one.low - room, high=one.high + room),)
        for one in (spec.variable, spec.paired_with)
    )
    return Predicted(
        what="linear",
        family="gaussian",
        alpha=0.0,
        design=Design(terms=pair),
        coefficients=(1.0, -1.0),
        offset=None,
        outcome=None,
        low=low,
        high=high,
    )
