"""Histograms: numbers of rows whose value lies in each of several intervals of equal width, optionally by group.

With origin o and width w, interval i holds the rows with o + (i - 1) w < x <= o + i w; values at the lower end of the
range belong to the first one. The result also has the densities, count / (rows of the group w). The counts are whole
numbers and exact.

One round. Disclosure: that of `histogram`: a site hides intervals of fewer than `minimum_persons` rows, and similarly
small neighbours; the counts then cover the remaining rows, and a warning says so. Wider intervals keep
them.

    analysis = "histogram"
    dataset = "lung"
    variable = {column = "age", low = 18, high = 100}
    origin = 30
    width = 10
    bins = 6
    by = {column = "sex", levels = [1, 2]}
    minimum_persons = 1
    row_limit = 1000

Source: Scott 2015, "Multivariate Density Estimation", chapter 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, FiniteFloat

from participant.analyses.base.declared import levels_of, refusal, warn_of_other_codes, warn_of_outside
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.registry import HISTOGRAM
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.histogram import MAX_EDGES, HistogramParams, Measured


class HistogramSpec(TableSpec):
    """A histogram.

    Attributes:
        variable: variable with its declared range.
        origin, width, bins: start, width and number of the intervals; two more hold the rows beyond them.
        by: category whose levels are counted separately, or None.
    """

    analysis: Literal["histogram"] = "histogram"
    single_sum: ClassVar[bool] = True
    variable: Variable
    origin: FiniteFloat
    width: FiniteFloat = Field(gt=0)
    bins: int = Field(ge=1, lt=MAX_EDGES)
    by: Category | None = None

    async def analyse(self, secure_sum: SecureSum) -> "HistogramResult":
        """Run the analysis; raises the same errors as `count_bins`."""
        return await count_bins(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HistogramResult(AnalysisResult):
    """The histogram.

    Attributes:
        variable: name of the variable.
        edges: (B + 1,) edges of the B intervals.
        groups: names of the levels, or one name for all rows.
        counts: (G, B) rows of each group in each interval.
        density: (G, B) counts divided by the group's rows and the width; NaN for a group without rows.
        below, above: (G,) rows beyond the intervals.
        rows: number of rows counted.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "histogram"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "low": ".6g", "high": ".6g", "count": ".0f", "density": ".4g"}

    variable: str
    edges: Array
    groups: tuple[str, ...]
    counts: Array
    density: Array
    below: Array
    above: Array
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each group and interval, as plain numbers."""
        return [
            {
                "name": group,
                "low": float(self.edges[i]),
                "high": float(self.edges[i + 1]),
                "count": float(self.counts[g, i]),
                "density": None if np.isnan(self.density[g, i]) else float(self.density[g, i]),
            }
            for g, group in enumerate(self.groups)
            for i in range(len(self.edges) - 1)
        ]

    @property
    def title(self) -> str:
        return f"Histogram of {self.variable}"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Below the intervals": round(float(self.below.sum())),
            "Above the intervals": round(float(self.above.sum())),
        }


async def count_bins(spec: HistogramSpec, secure_sum: SecureSum) -> HistogramResult:
    """Count the rows in the intervals of `spec`.

    Raises:
        NoRowsError: across all sites, no row meets the filter and has all values.
    """
    by = (spec.by,) if spec.by else ()
    params = HistogramParams(
        quantity=Measured(**spec.variable.model_dump()),
        by=by,
        origin=spec.origin,
        width=spec.width,
        edges=tuple(range(spec.bins + 1)),
        sums=False,
        row_limit=spec.row_limit,
    )
    answer = await secure_sum(spec.ask(HISTOGRAM, params, secure_sum.value_bits))
    found = answer.values["counts"]
    counts = found[:-1] if spec.by else found[np.newaxis]
    warnings = [
        *spec.warn_of_withheld(answer.values),
        *warn_of_outside([spec.variable.column], [float(answer.values["outside"])]),
        *warn_of_other_codes(by, found.sum(axis=-1)),
    ]
    if not counts.any():
        raise refusal("across all sites, no row meets the filter and has all values", warnings)
    inside = counts[:, 1:-1]
    if spec.origin <= spec.variable.low:  # nothing lies below, as the lower end belongs to the first interval
        inside = np.column_stack([counts[:, 0] + counts[:, 1], counts[:, 2:-1]])
    rows = counts.sum(axis=1, keepdims=True)
    return HistogramResult(
        variable=spec.variable.column,
        edges=spec.origin + spec.width * np.arange(spec.bins + 1.0),
        groups=levels_of(spec.by) if spec.by else ("all",),
        counts=inside,
        density=np.where(rows > 0, inside, np.nan) / (np.maximum(rows, 1) * spec.width),
        below=counts.sum(axis=1) - inside.sum(axis=1) - counts[:, -1],
        above=counts[:, -1],
        rows=round(float(counts.sum())),
        sites=answer.sites,
        warnings=tuple(warnings),
    )
