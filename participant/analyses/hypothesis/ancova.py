"""Analysis of covariance: means of an outcome in groups, adjusted for covariates.

The model is y ~ C(by) + covariates, fitted by least squares as in `glm`. Each term's F compares the residual sums of
squares without and with it, given all others (types 2 and 3 agree without an interaction). The adjusted mean of a
group is the fit at the covariates' means over all rows; with L its coefficients, its variance is L' C L, where C is the
covariance of the estimates. The adjustment assumes equal slopes in all groups, which is
tested by the F of all products C(by):covariate in a second fit.

Rounds: about three for each of the two fits; convergence as in `glm`. If a site is lost between the fits, both are
repeated. Disclosure: that of `glm-score`; a site with fewer than three rows for each coefficient sends zeros.

    analysis = "ancova"
    dataset = "lung"
    outcome = {column = "wt.loss", low = -50, high = 100}
    by = {column = "ph.ecog", levels = [0, 1, 2]}
    covariates = [{column = "age", low = 18, high = 100}]
    minimum_persons = 1
    row_limit = 1000

Sources: Searle 1987, "Linear Models for Unbalanced Data", chapter 6; Searle, Speed, Milliken 1980, Am Stat 34:216, for
adjusted means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field

from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.declared import levels_of
from participant.analyses.base.errors import CollinearityError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.base.text_table import text_table
from participant.analyses.base.wald import terms_of, wald_f
from participant.analyses.regression.glm import Fitted, GlmResult, GlmSpec, fit_glm, fit_with_moments
from participant.statistics.language.conditions import AnyOf, Comparison
from participant.statistics.models.design import Category
from participant.statistics.models.special import fdtrc, stdtrit
from participant.statistics.models.variables import Variable, distinct

MAX_GROUPS = 16
UNEQUAL = 0.05  # p-value of unequal slopes below which a warning says so


def _few_levels(by: Category) -> Category:
    if len(by.levels) > MAX_GROUPS:
        raise ValueError(f"analysis of covariance compares at most {MAX_GROUPS} groups")
    return by


class AncovaSpec(TableSpec):
    """An `outcome`, with its declared range, in the groups of `by`, adjusted for `covariates`; rows with other codes of
    `by` are left out.
    """

    analysis: Literal["ancova"] = "ancova"
    outcome: Variable
    by: Annotated[Category, AfterValidator(_few_levels)]
    covariates: Annotated[tuple[Variable, ...], Field(min_length=1, max_length=100), AfterValidator(distinct)]

    async def analyse(self, secure_sum: SecureSum) -> "AncovaResult":
        """Run the analysis; raises the same errors as `analyse_covariance`."""
        return await analyse_covariance(self, secure_sum)

    def model(self, join: str) -> GlmSpec:
        """Return the model that joins groups and covariates by ``+``, or by ``*`` to include their products."""
        covariates = " + ".join(one.column for one in self.covariates)
        common = self.model_dump(exclude={"analysis", "outcome", "by", "covariates", "filter"})
        # A row with another code would count as the first level.
        grouped = AnyOf(any=tuple(Comparison(column=self.by.column, op="==", value=level) for level in self.by.levels))
        return GlmSpec(
            filter=(*self.filter, grouped),
            formula=f"{self.outcome.column} ~ C({self.by.column}) {join} ({covariates})",
            numbers=(self.outcome, *self.covariates),
            categories=(self.by,),
            **common,
        )


class AncovaSource(NamedTuple):
    """A line of the variance table: a term, or ``residual``, which has no test."""

    name: str
    sum_of_squares: float
    df: int
    f: float | None
    p: float | None
    partial_eta_squared: float | None


class AdjustedMean(NamedTuple):
    """A group's adjusted mean, with standard error and 95 % interval."""

    name: str
    mean: float
    se: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AncovaResult(AnalysisResult):
    """The analysis of covariance.

    Attributes:
        sources: lines of the groups, each covariate, and the residual.
        means: adjusted mean of each group.
        at: covariate means to which the means are adjusted.
        slopes: test of equal slopes; None if a group does not determine its own slope.
        coefficients: common slopes of the covariates.
        r_squared: share of the variance explained.
        rows: number of rows in the analysis.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "ancova"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "sum_of_squares": ".6g",
        "df": "d",
        "f": ".4f",
        "p": ".3g",
        "partial_eta_squared": ".3f",
    }

    sources: tuple[AncovaSource, ...]
    means: tuple[AdjustedMean, ...]
    at: Mapping[str, float]
    slopes: AncovaSource | None
    coefficients: Mapping[str, float]
    r_squared: float
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return the variance table, one dict for each source; None in place of a test that a source does not have."""
        return [source._asdict() for source in self.sources]

    @property
    def title(self) -> str:
        return "Analysis of covariance"

    def facts(self) -> dict[str, Any]:
        slopes = self.slopes
        return {
            "Rows": self.rows,
            "R-squared": self.r_squared,
            "F of equal slopes": None if slopes is None else slopes.f,
            "p of equal slopes": None if slopes is None or slopes.p is None else f"{slopes.p:.3g}",
        } | {f"Slope of {name}": slope for name, slope in self.coefficients.items()}

    def notes(self) -> list[str]:
        at = ", ".join(f"{name} {mean:.6g}" for name, mean in self.at.items())
        formats = {"name": "", "mean": ".6g", "se": ".4g", "lower": ".5g", "upper": ".5g"}
        return [f"Means adjusted to {at}:", *text_table([mean._asdict() for mean in self.means], formats)]


async def analyse_covariance(spec: AncovaSpec, secure_sum: SecureSum) -> AncovaResult:
    """Run the analysis that `spec` describes. Raises the same errors as `fit_glm`."""
    return await over_one_cohort(partial(_fit_both, spec), secure_sum)


async def _fit_both(spec: AncovaSpec, secure_sum: SecureSum) -> AncovaResult:
    try:
        products: GlmResult | None = await fit_glm(spec.model("*"), secure_sum)
    except CollinearityError:
        products = None
    return _result(spec, await fit_with_moments(spec.model("+"), secure_sum), products)


def _result(spec: AncovaSpec, fitted: Fitted, products: GlmResult | None) -> AncovaResult:
    fit = fitted.result
    terms = terms_of(spec.model("+").model()[1])
    sources = [_source(fit, name, which) for name, which in terms.items()]
    everything = [i for which in terms.values() for i in which]
    explained = wald_f(fit.coef, fit.covariance, everything) * len(everything)
    slopes = None
    if products is not None:
        joint = [i for name, which in terms_of(spec.model("*").model()[1]).items() if ":" in name for i in which]
        slopes = _source(products, "equal slopes", joint)
    at = {one.column: float(fitted.means[fit.names.index(one.column)]) for one in spec.covariates}
    return AncovaResult(
        sources=(*sources, AncovaSource("residual", fit.deviance, round(fit.df), None, None, None)),
        means=_adjusted(spec, fit, at),
        at=at,
        slopes=slopes,
        coefficients={one.column: float(fit.coef[fit.names.index(one.column)]) for one in spec.covariates},
        r_squared=explained / (explained + fit.df),
        rows=fit.rows,
        sites=fit.sites,
        warnings=(*fit.warnings, *_warnings(slopes, fit, products)),
    )


def _source(fit: GlmResult, name: str, which: list[int]) -> AncovaSource:
    f, df = wald_f(fit.coef, fit.covariance, which), len(which)
    squares = f * df * fit.dispersion
    return AncovaSource(name, squares, df, f, float(fdtrc(df, fit.df, f)), squares / (squares + fit.deviance))


def _adjusted(spec: AncovaSpec, fit: GlmResult, at: Mapping[str, float]) -> tuple[AdjustedMean, ...]:
    margin = float(stdtrit(fit.df, 0.975))
    means = []
    for level in levels_of(spec.by):
        place = np.array([at.get(name, float(name in {"1", level})) for name in fit.names])
        mean, se = float(place @ fit.coef), float(np.sqrt(place @ fit.covariance @ place))
        means.append(AdjustedMean(level, mean, se, mean - margin * se, mean + margin * se))
    return tuple(means)


def _warnings(slopes: AncovaSource | None, fit: GlmResult, products: GlmResult | None) -> list[str]:
    if products is None or slopes is None or slopes.p is None:
        return ["equal slopes are not tested: some group does not determine a slope of its own"]
    found = [f"test of equal slopes: {text}" for text in products.warnings if text not in fit.warnings]
    if slopes.p < UNEQUAL:
        found.append(f"the slopes differ between the groups (p = {slopes.p:.2g}): the adjusted means depend on where")
    return found
