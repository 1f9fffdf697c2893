"""Multiple imputation by chained equations, and a model fitted to the completed rows of all sites.

Missing values are imputed at the sites, and nobody else sees a row (`participant.statistics.vocabulary.imputed`). For
each of m imputations, the incomplete columns take turns, `iterations` times. In a turn, the equation of column c,
linear or logistic in the current values of the other columns, is fitted by secure sums to the rows in which c was
observed, and parameters are drawn:

    gaussian    s^2 = RSS / X,  X chi-square with df = n - p degrees of freedom;   b ~ N(estimate, s^2 (Z'Z)^-1)
    binomial    b ~ N(estimate, I^-1)

With these parameters, the sites impute c. Then the model is fitted to the completed rows, and the m fits are pooled
(Rubin): with coefficients q_i, covariances U_i, their means Q and U, and the between-imputation covariance B,

    T = U + (1 + 1 / m) B,   l = (1 + 1 / m) B_jj / T_jj,   old = (m - 1) / l^2,
    seen = (f + 1) / (f + 3) f (1 - l)  with f = n - p,   df = old seen / (old + seen)     (Barnard, Rubin)

for estimates, standard errors and t tests. Missing information: (r + 2 / (df + 3)) / (r + 1), r = l / (1 - l).

Convergence is not tested. Such chains mix within few turns if few values are missing; use more iterations if columns
are often missing together, and check that estimates change by less than `monte_carlo`, the standard error due to finite
m. All draws, here and at the sites, follow from `seed`.

Rounds: m (iterations (1 for each gaussian column, 3 to 6 for each binomial one) + those of the model) plus two. If a
site is lost, the analysis starts over. Disclosure: see `participant.statistics.vocabulary.imputed`; if fewer than
`minimum_persons` rows of a site lack a column, it is not imputed there, and these rows are left out.

    analysis = "imputation"
    dataset = "lung"
    numbers = [
        {column = "age", low = 18, high = 100},
        {column = "wt.loss", low = -50, high = 100},
        {column = "status", low = 0, high = 1},
    ]
    gaps = [{column = "wt.loss"}]
    imputations = 2
    iterations = 2
    minimum_persons = 1
    row_limit = 1000
    [model]
    analysis = "glm"
    formula = "status ~ age + wt.loss"
    family = "binomial"

Sources: van Buuren, Groothuis-Oudshoorn 2011, J Stat Softw 45:3; Rubin 1987, "Multiple imputation for nonresponse in
surveys", chapter 3 and section 5.3; Barnard, Rubin 1999, Biometrika 86:948.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, JsonValue, ValidationError, model_validator

from participant.analyses.base.coefficients import CoefficientResult
from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.errors import AnalysisError, CodingError, EquationError, NoRowsError
from participant.analyses.base.secure_sum import SecureSum, Sum, SumAround
from participant.analyses.base.spec import TableSpec
from participant.analyses.learning.predictive import columns_of
from participant.analyses.regression.glm import GlmResult, GlmSpec, fit_glm
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.evaluation.registry import IMPUTED, MOMENTS
from participant.statistics.language.conditions import Strict
from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_COLUMNS, Name, in_words
from participant.statistics.models.design import Category
from participant.statistics.models.special import stdtr, stdtrit
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.imputed import MAX_GAPS, Draw, Equation, ImputedParams
from participant.statistics.vocabulary.moments import MomentsParams

_SHARED = ("dataset", "filter", "minimum_persons", "row_limit", "value_bits", "numbers", "categories")


class Gap(Strict):
    """A column to impute, one of `numbers`; a binomial column holds 0 and 1."""

    column: Name
    family: Literal["gaussian", "binomial"] = "gaussian"


class ImputationSpec(TableSpec):
    """The columns to impute, their predictors, and the model of interest.

    Attributes:
        numbers, categories: variables of the equations and the model, with ranges and levels; rows must be complete in
            those that are not imputed.
        gaps: columns to impute, in the order of their turns.
        model: table of a generalised linear model (`analysis = "glm"`) by formula; all other members belong outside it.
        imputations: number of imputations m.
        iterations: number of turns of each column before the model is fitted.
        seed: seed of all draws.
    """

    analysis: Literal["imputation"] = "imputation"
    numbers: Annotated[tuple[Variable, ...], Field(min_length=1, max_length=MAX_COLUMNS)]
    categories: Annotated[tuple[Category, ...], Field(max_length=MAX_COLUMNS)] = ()
    gaps: Annotated[tuple[Gap, ...], Field(min_length=1, max_length=MAX_GAPS)]
    model: dict[str, JsonValue]
    imputations: int = Field(default=5, ge=2, le=100)
    iterations: int = Field(default=5, ge=1, le=100)
    seed: int = Field(default=0, ge=0, lt=1 << 31)

    @model_validator(mode="after")
    def _check(self) -> Self:
        ranges = {one.column: (one.low, one.high) for one in self.numbers}
        for gap in self.gaps:
            if gap.column not in ranges:
                raise ValueError(f"{gap.column} is to be imputed but not among the numbers")
            if gap.family == "binomial" and ranges[gap.column] != (0, 1):
                raise ValueError(f"the binomial column {gap.column} must have the range 0 to 1")
        if len({gap.column for gap in self.gaps}) < len(self.gaps):
            raise ValueError("a column to impute is listed twice; list each once")
        if len(self.columns) < 2:
            raise ValueError("imputation needs at least one other column")
        if beyond := sorted(set(columns_of(self.inner())) - set(self.columns)):
            raise ValueError(f"the model reads columns that are not among numbers and categories: {', '.join(beyond)}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the equations."""
        return (*(one.column for one in self.numbers), *(one.column for one in self.categories))

    def inner(self) -> GlmSpec:
        """Return the specification of the model, on the completed rows."""
        if twice := [name for name in _SHARED if name in self.model]:
            raise ValueError(f"{', '.join(twice)}: give these outside the model only")
        document = self.model_dump(mode="json", include=set(_SHARED)) | self.model
        try:
            return GlmSpec.model_validate_json(json.dumps(document))
        except ValidationError as error:
            raise ValueError(f"model: {in_words(error)}") from None

    def equation(self, gap: Gap) -> GlmSpec:
        """Return the specification of a column's imputation equation, with all other columns as predictors."""
        others = [f"C({one.column})" for one in self.categories]
        others += [one.column for one in self.numbers if one.column != gap.column]
        shared = self.model_dump(mode="json", include=set(_SHARED))
        model = {"analysis": "glm", "family": gap.family, "formula": f"{gap.column} ~ {' + '.join(others)}"}
        return GlmSpec.model_validate_json(json.dumps(shared | model))

    async def analyse(self, secure_sum: SecureSum) -> "ImputationResult":
        """Run the analysis; raises the same errors as `impute`."""
        return await over_one_cohort(partial(impute, self), secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImputationResult(CoefficientResult):
    """The pooled fit, with these attributes in addition to those of every regression.

    Attributes:
        statistic, df, p: coef / se, degrees of freedom, two-sided p-value from t.
        lower, upper: 95 % confidence interval.
        missing_information: fraction of missing information.
        monte_carlo: standard error of the estimates due to finite m.
        fits: (m, p) coefficients of each imputation.
        imputed: number of rows that lacked each imputed column, by name.
    """

    analysis: ClassVar[str] = "imputation"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "coef": ".6g",
        "se": ".4g",
        "statistic": ".3f",
        "df": ".1f",
        "p": ".3g",
        "lower": ".5g",
        "upper": ".5g",
        "missing_information": ".3f",
    }
    drawn: ClassVar[str] = "coef"

    statistic: Array
    df: Array
    missing_information: Array
    monte_carlo: Array
    fits: Array
    imputed: Mapping[str, int]

    def columns(self) -> Mapping[str, Array]:
        return {
            "coef": self.coef,
            "se": self.se,
            "statistic": self.statistic,
            "df": self.df,
            "p": self.p,
            "lower": self.lower,
            "upper": self.upper,
            "missing_information": self.missing_information,
            "monte_carlo": self.monte_carlo,
        }

    @property
    def title(self) -> str:
        return "Multiple imputation by chained equations"

    def facts(self) -> dict[str, Any]:
        filled = {f"Imputed {name}": count for name, count in self.imputed.items()}
        return {"Rows": self.rows, "Imputations": len(self.fits), **filled}


async def impute(spec: ImputationSpec, secure_sum: SecureSum) -> ImputationResult:
    """Impute and fit as `spec` describes.

    Raises:
        NoRowsError: some column has no value, or no row is complete in the columns that are not imputed.
        EquationError: a column's equation cannot be fitted.
        AnalysisError: the model cannot be fitted.
    """
    chance = np.random.default_rng(spec.seed)  # noqa: TID251 - the draws are public
    equations = tuple([await _equation(spec, gap, secure_sum) for gap in spec.gaps])
    fits, last = [], None
    for number in range(spec.imputations):
        rows = _Completed(spec, equations, (spec.seed + number) % (1 << 32), secure_sum)
        for _ in range(spec.iterations):
            for gap in spec.gaps:
                rows.draws += (_drawn(await _fit(spec, gap, rows.where(gap.column)), gap, chance),)
        last = rows.where(None)
        fits.append(await fit_glm(spec.inner(), last))
    assert last is not None
    return _pooled(spec, fits, last.seen)


class _Completed:
    """The rows of all sites, completed by a growing list of draws."""

    def __init__(self, spec: ImputationSpec, equations: tuple[Equation, ...], seed: int, secure_sum: SecureSum) -> None:
        self._spec = spec
        self._equations = equations
        self._seed = seed
        self._secure_sum = secure_sum
        self.draws: tuple[Draw, ...] = ()

    def where(self, observed: str | None) -> "_CompletedSum":
        """Return a secure sum over all rows as completed so far, or only over those in which `observed` was present."""
        return _CompletedSum(self._spec, self._equations, self.draws, self._seed, observed, self._secure_sum)


class _CompletedSum(SumAround):
    """A secure sum over completed rows: it wraps each query in `imputed`."""

    def __init__(
        self,
        spec: ImputationSpec,
        equations: tuple[Equation, ...],
        draws: tuple[Draw, ...],
        seed: int,
        observed: str | None,
        secure_sum: SecureSum,
    ) -> None:
        super().__init__(secure_sum)
        self._spec = spec
        self._beside: dict[str, Any] = {
            "columns": spec.columns,
            "equations": equations,
            "draws": draws,
            "seed": seed,
            "observed": observed,
        }
        self.seen: Mapping[str, Array] = {}

    async def __call__(self, query: BoundQuery) -> Sum:
        inside = query.query
        params = ImputedParams(
            statistic=inside.statistic,
            version=inside.version,
            params=inside.params,
            row_limit=self._spec.row_limit,
            **self._beside,
        )
        around = IMPUTED.query(
            params,
            dataset=inside.dataset,
            value_bits=inside.value_bits,
            filter=inside.filter,
            minimum_persons=inside.minimum_persons,
        )
        answer = await self._secure_sum(bind(around.model_copy(update={"ranges": inside.ranges})))
        self.seen = answer.values
        return answer


async def _equation(spec: ImputationSpec, gap: Gap, secure_sum: SecureSum) -> Equation:
    """Return the equation of a column to impute, which starts at the mean of the observed values."""
    variable = next(one for one in spec.numbers if one.column == gap.column)
    params = MomentsParams(variables=(variable,), row_limit=spec.row_limit)
    sums = (await secure_sum(spec.ask(MOMENTS, params, secure_sum.value_bits))).values
    if sums["rows"] < 1:
        raise NoRowsError(f"across all sites, no row meets the filter and has {gap.column}")
    mean = float(params.middles[0] + sums["sums"][0] / sums["rows"])
    _, design = spec.equation(gap).model()
    return Equation(
        **variable.model_dump(),
        family=gap.family,
        start=min(max(float(round(mean)) if gap.family == "binomial" else mean, variable.low), variable.high),
        design=design,
    )


async def _fit(spec: ImputationSpec, gap: Gap, rows: _CompletedSum) -> GlmResult:
    try:
        return await fit_glm(spec.equation(gap), rows)
    except CodingError:  # of all rows
        raise
    except AnalysisError as error:
        raise EquationError(f"the equation of {gap.column} cannot be fitted: {error}") from error


def _drawn(fit: GlmResult, gap: Gap, chance: np.random.Generator) -> Draw:  # noqa: TID251 - the draws are public
    """Draw an equation's parameters from their posterior."""
    scale = fit.df / chance.chisquare(fit.df) if gap.family == "gaussian" else 1.0
    root = np.linalg.cholesky(scale * fit.covariance)
    coefficients = fit.coef + root @ chance.normal(size=len(fit.coef))
    deviation = float(np.sqrt(scale * fit.dispersion)) if gap.family == "gaussian" else 0.0
    return Draw(coefficients=tuple(coefficients.tolist()), deviation=deviation)


def _pooled(spec: ImputationSpec, fits: list[GlmResult], seen: Mapping[str, Array]) -> ImputationResult:
    m, coefficients = len(fits), np.array([fit.coef for fit in fits])
    coef = coefficients.mean(axis=0)
    within = np.mean([fit.covariance for fit in fits], axis=0)
    between = np.atleast_2d(np.cov(coefficients.T))
    covariance = within + (1 + 1 / m) * between
    se = np.sqrt(np.diag(covariance))
    share = np.clip((1 + 1 / m) * np.diag(between) / np.diag(covariance), 1e-12, 1 - 1e-12)
    old, f = (m - 1) / share**2, fits[-1].df
    there = (f + 1) / (f + 3) * f * (1 - share)
    df = old * there / (old + there)
    r = share / (1 - share)
    margin = stdtrit(df, 0.975) * se
    return ImputationResult(
        names=fits[0].names,
        coef=coef,
        se=se,
        covariance=covariance,
        statistic=coef / se,
        df=df,
        p=2 * stdtr(df, -np.abs(coef / se)),
        lower=coef - margin,
        upper=coef + margin,
        missing_information=(r + 2 / (df + 3)) / (r + 1),
        monte_carlo=np.sqrt(np.diag(between) / m),
        fits=coefficients,
        imputed={gap.column: round(float(count)) for gap, count in zip(spec.gaps, seen["imputed"], strict=True)},
        rows=fits[-1].rows,
        sites=fits[-1].sites,
        warnings=(*dict.fromkeys(text for fit in fits for text in fit.warnings), *_unfilled(spec, seen)),
    )


def _unfilled(spec: ImputationSpec, seen: Mapping[str, Array]) -> list[str]:
    few = f"a site with fewer than {spec.minimum_persons} rows that lack it leaves them out"
    return [
        f"no missing value of {gap.column} was imputed: {few}"
        for gap, count in zip(spec.gaps, seen["imputed"], strict=True)
        if not count
    ]
