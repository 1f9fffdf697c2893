"""Cochran and Armitage's test for a trend of proportions over ordered groups.

With n_j rows in group j, a_j of them with the event, its score x_j, N rows and a share p of events in total:

    T = sum of x_j (a_j - n_j p)
    z = T / sqrt(p (1 - p) (sum of n_j x_j^2 - (sum of n_j x_j)^2 / N))

and z^2 is chi-square with 1 degree of freedom: N times the square of the correlation of score and event. What the trend
does not explain of Pearson's chi-square tests departure from it, with two degrees less than groups. The scores are the
levels' codes unless `scores` gives others.

One round. Disclosure: that of `contingency`: a site with a cell of fewer than `minimum_persons` rows leaves out
its whole table; the test then covers the other sites, and a warning says so.

    analysis = "trend"
    dataset = "lung"
    event = {column = "status", levels = [0, 1]}
    by = {column = "ph.ecog", levels = [0, 1, 2]}
    minimum_persons = 1
    row_limit = 1000

Sources: Armitage 1955, Biometrics 11:375; Agresti 2013, "Categorical Data Analysis", section 5.3.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from participant.analyses.base.declared import levels_of
from participant.analyses.base.errors import SpecError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.crosstab import crosstab
from participant.statistics.models.design import MAX_LEVELS, Category
from participant.statistics.models.special import chdtrc, ndtr


class TrendSpec(TableSpec):
    """A trend.

    Attributes:
        event: category with two levels, the last of which is the event.
        by: ordered groups.
        scores: score of each group; empty for the codes of the levels.
    """

    analysis: Literal["trend"] = "trend"
    single_sum: ClassVar[bool] = True
    event: Category
    by: Category
    scores: Annotated[tuple[FiniteFloat, ...], Field(max_length=MAX_LEVELS)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.event.levels) != 2:
            raise ValueError(f"{self.event.column} has {len(self.event.levels)} levels, but must have two")
        if len(self.scores) not in {0, len(self.by.levels)}:
            raise ValueError(f"give one score for each level of {self.by.column}, or none")
        return self

    async def analyse(self, secure_sum: SecureSum) -> "TrendResult":
        """Run the analysis; raises the same errors as `find_trend`."""
        return await find_trend(self, secure_sum)


class ScoredGroup(NamedTuple):
    """A group: its score, rows, events, and their share."""

    name: str
    score: float
    rows: int
    events: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrendResult(AnalysisResult):
    """The test.

    Attributes:
        groups: groups that have rows.
        z, p: the trend's statistic and two-sided p-value.
        statistic: z squared, chi-square with 1 degree of freedom.
        departure_statistic, df, departure_p: test of departure from a trend; None with two groups.
        rows: number of rows.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "trend"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "score": "g", "rows": "d", "events": "d", "share": ".4f"}

    groups: tuple[ScoredGroup, ...]
    z: float
    p: float
    statistic: float
    departure_statistic: float | None
    df: int
    departure_p: float | None
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each group."""
        return [group._asdict() for group in self.groups]

    @property
    def title(self) -> str:
        return "Cochran-Armitage test for trend"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "z": self.z,
            "p": f"{self.p:.3g}",
            "Departure from the trend": self.departure_statistic,
            "P of departure": None if self.departure_p is None else f"{self.departure_p:.3g}",
        }


async def find_trend(spec: TrendSpec, secure_sum: SecureSum) -> TrendResult:
    """Run the test that `spec` describes.

    Raises:
        NoRowsError: there are no rows, no event, nothing but events, or fewer than two groups.
        SpecError: all groups that have rows have one score.
    """
    table = await crosstab(spec, secure_sum, spec.event, spec.by)
    others, events = table.counts
    rows, n = others + events, float(table.counts.sum())
    every = dict(zip(levels_of(spec.by), spec.scores or spec.by.levels, strict=True))
    score = np.array([every[name] for name in table.columns])
    share = float(events.sum()) / n
    about = score - float(rows @ score) / n
    spread = float(rows @ about**2)
    if not spread:
        raise SpecError("all groups have one score, so there is no trend to test")
    z = float(about @ events) / sqrt(share * (1 - share) * spread)
    whole = float(((events - rows * share) ** 2 / (rows * share * (1 - share))).sum())
    df = len(rows) - 2
    departure = max(whole - z * z, 0.0) if df else None
    return TrendResult(
        groups=tuple(
            ScoredGroup(name, float(x), round(float(m)), round(float(a)), float(a / m))
            for name, x, m, a in zip(table.columns, score, rows, events, strict=True)
        ),
        z=z,
        p=float(2 * ndtr(-abs(z))),
        statistic=z * z,
        departure_statistic=departure,
        df=df,
        departure_p=None if departure is None else float(chdtrc(df, departure)),
        rows=round(n),
        sites=table.sites,
        warnings=table.warnings,
    )
