"""Generalised linear models on the rows of all sites, from sums alone: linear, logistic, Poisson, negative binomial and
gamma regression.

The estimator is the pooled one, computed by Fisher scoring: b <- b + I^-1 U with the score U and the expected
information I of all rows (`participant.statistics.vocabulary.glm_score`). With p parameters and W observations - the
rows, or the sum of weights that are frequencies; a row of weight 0 is none -

    dispersion = Pearson's chi-square / (W - p)     gaussian and gamma; 1 for the others
    cov        = dispersion I^-1
    p-values   from t with W - p degrees of freedom if the dispersion is estimated, otherwise from the normal

The log-likelihood is that of the family: for the gaussian at the dispersion deviance / W, for the gamma at the
estimated dispersion; both are NaN with weights that are precisions. AIC and BIC count p parameters, as in statsmodels,
and BIC W observations. With the gaussian
family this is ordinary, or weighted, least squares.

Inside the fit, covariates and the outcome of the gaussian family are on the scale of their declared ranges
(`standardised`), so that neither large outcomes nor covariates with many digits in common lose precision.

Rounds: one of moments for the starting value (an intercept at the link of the mean outcome), then one or two for each
step, about six: if the bounds proven from ranges make the sums too coarse, a round of `ranges` precedes it. The
linear predictor is clipped at a limit that doubles whenever some row exceeds it.

Convergence: the next step is below 1e-8 standard errors, or below the possible effect of rounding; that step is
still taken. A step is halved while it raises the deviance. If a site is lost, its rows leave the fit.

Disclosure: that of `glm-score` and of `moments`.

    analysis = "glm"
    dataset = "lung"
    formula = "status ~ age + C(sex)"
    family = "poisson"
    offset = {column = "time", low = 1, high = 1100, log = true}
    numbers = [{column = "age", low = 18, high = 100}, {column = "status", low = 0, high = 1}]
    categories = [{column = "sex", levels = [1, 2]}]
    minimum_persons = 1
    row_limit = 1000

Sources: McCullagh, Nelder 1989, "Generalized Linear Models", section 2.5 and chapter 8 for the gamma.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, log, nan, pi, sqrt
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, FiniteFloat, ValidationError

from participant.analyses.base.coefficients import CoefficientResult, known, p_text
from participant.analyses.base.declared import check_binary, refusal, warn_of_outside
from participant.analyses.base.errors import (
    CollinearityError,
    ConvergenceError,
    PrecisionError,
    SeparationError,
    beyond_ranges,
    too_coarse,
)
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.newton import check_identifiable, newton_step
from participant.analyses.base.ranged import ranged
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.standardised import Standardised, standardised_outcome
from participant.analyses.base.symmetric import symmetric
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import GLM_SCORE, MOMENTS
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Coding, Log, Numeric, Untransformed
from participant.statistics.models.families import FamilyName
from participant.statistics.models.special import chdtrc, gammaln, logit, ndtr, ndtri, stdtr, stdtrit
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.glm_score import MAX_LIMIT, GlmScoreParams
from participant.statistics.vocabulary.moments import MomentsParams

TOLERANCE = 1e-8  # largest last step, in standard errors
MAX_STEPS = 50
MAX_HALVINGS = 12
FINE = 1e-7  # effect of rounding on an estimate, in standard errors, that triggers a round of ranges
COARSE = 1e-3  # such an effect above which the sums are refused
EXACT = 1e-13  # share of the squares of the fit; smaller residuals count as zero
FIRST_LIMIT = 8.0  # initial limit of the linear predictor
ENDLESS = 10.0  # contribution of a covariate to a linear predictor that exceeds all limits
WIDE = 1e6  # the same for the gaussian family, where it makes no sum coarser than the declared ranges do

_ESTIMATED = ("gaussian", "gamma")
_RATIOS = {"binomial": "odds", "poisson": "rates", "negative-binomial": "rates", "gamma": "means"}


class Offset(Variable):
    """A column added to the linear predictor; `log` adds its logarithm, as for a time at risk."""

    log: bool = False

    @property
    def factor(self) -> Numeric:
        function = Log() if self.log else Untransformed()
        return Numeric(column=self.column, low=self.low, high=self.high, function=function)


class GlmSpec(FormulaSpec):
    """A generalised linear model as a formula.

    Attributes:
        family: family of the outcome.
        alpha: overdispersion of the negative binomial, otherwise 0.
        offset: column added to the linear predictor, or None; with ``log = true``, its logarithm.
        weight: column of weights, or None.
        weights_are: ``frequency``: the weight is the number of rows that a row stands for; or ``precision``: the
            variance of an outcome is inversely proportional to the weight. Estimates agree, degrees of freedom do not.
    """

    analysis: Literal["glm"] = "glm"
    family: FamilyName = "gaussian"
    alpha: FiniteFloat = Field(default=0.0, ge=0)
    offset: Offset | None = None
    weight: Variable | None = None
    weights_are: Literal["frequency", "precision"] = "frequency"

    def count(self, sums: Mapping[str, float]) -> float:
        """Return the number of observations that the rows stand for."""
        return sums["weights"] if self.weights_are == "frequency" else sums["rows"]

    async def analyse(self, secure_sum: SecureSum) -> "GlmResult":
        """Run the analysis; raises the same errors as `fit_glm`."""
        return await fit_glm(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GlmResult(CoefficientResult):
    """The fit, with these attributes in addition to those of every regression.

    Attributes:
        family: family of the outcome.
        statistic, p: coef / se and its two-sided p-value, from t if the dispersion is estimated.
        lower, upper: 95 % confidence interval of the coefficient.
        ratio, ratio_lower, ratio_upper: exp of these: odds ratios (binomial), rate ratios or ratios of means; NaN for
            the gaussian family.
        dispersion: estimated dispersion, or 1.
        deviance, pearson: goodness of fit; pearson / df above 1 indicates overdispersion if the dispersion is 1.
        null_deviance: deviance with intercept and offset only; NaN without an intercept, or with a given start.
        likelihood_ratio, likelihood_ratio_p: joint test of all coefficients but the intercept; None if the dispersion
            is estimated, or the model has no intercept or no other covariate.
        df: residual degrees of freedom.
        log_likelihood, aic, bic: values at the estimate.
        iterations: number of evaluations of the score.
        rounding: bound on the effect of quantisation on an estimate, in standard errors.
    """

    analysis: ClassVar[str] = "glm"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "coef": ".6g",
        "se": ".4g",
        "statistic": ".3f",
        "p": ".3g",
        "lower": ".5g",
        "upper": ".5g",
        "ratio": ".4g",
    }
    drawn: ClassVar[str] = "coef"

    family: str
    statistic: Array
    ratio: Array
    ratio_lower: Array
    ratio_upper: Array
    dispersion: float
    deviance: float
    pearson: float
    null_deviance: float
    likelihood_ratio: float | None
    likelihood_ratio_p: float | None
    df: float
    log_likelihood: float
    aic: float
    bic: float
    iterations: int
    rounding: float

    def columns(self) -> Mapping[str, Array]:
        return {
            "coef": self.coef,
            "se": self.se,
            "lower": self.lower,
            "upper": self.upper,
            "statistic": self.statistic,
            "p": self.p,
            "ratio": self.ratio,
            "ratio_lower": self.ratio_lower,
            "ratio_upper": self.ratio_upper,
        }

    @property
    def title(self) -> str:
        return "Generalised linear model"

    def facts(self) -> dict[str, Any]:
        return {
            "Family": self.family,
            "Rows": self.rows,
            "Df residuals": self.df,
            "Iterations": self.iterations,
            "Dispersion": self.dispersion,
            "Deviance": self.deviance,
            "Null deviance": known(self.null_deviance),
            "Pearson chi2": self.pearson,
            "Pearson chi2 / df": self.pearson / self.df,
            "Log-likelihood": known(self.log_likelihood),
            "AIC": known(self.aic),
            "BIC": known(self.bic),
            "Likelihood ratio": self.likelihood_ratio,
            "P > likelihood ratio": p_text(self.likelihood_ratio_p),
        }

    def notes(self) -> list[str]:
        what = _RATIOS.get(self.family)
        return [f"The ratio is that of {what}: exp(coefficient)."] if what else []


class _Point(NamedTuple):
    """The sums at given coefficients, and their precision.

    Attributes:
        b: (p,) coefficients.
        score, information: (p,), (p, p).
        score_error: (p,), bound on the effect of rounding.
        sums, sites, query: the full answer.
    """

    b: Array
    score: Array
    information: Array
    score_error: Array
    sums: dict[str, float]
    outside: Array
    sites: tuple[str, ...]
    withheld: list[str]

    @property
    def rounding(self) -> float:
        """Bound on the effect of rounding on an estimate, in standard errors with dispersion 1."""
        diagonal = np.diag(self.information)
        return float((self.score_error / np.sqrt(diagonal)).max()) if (diagonal > 0).all() else np.inf


class Fitted(NamedTuple):
    """A fit, with the means of its covariates and their sums of squares about these, (p,) each; NaN without an
    intercept.
    """

    result: GlmResult
    means: Array
    squares: Array


async def fit_glm(
    spec: GlmSpec, secure_sum: SecureSum, start: Array | None = None, tolerance: float = TOLERANCE
) -> GlmResult:
    """Fit the model that `spec` describes. Arguments and errors are those of `fit_with_moments`."""
    return (await fit_with_moments(spec, secure_sum, start, tolerance)).result


async def fit_with_moments(
    spec: GlmSpec, secure_sum: SecureSum, start: Array | None = None, tolerance: float = TOLERANCE
) -> Fitted:
    """Fit the model that `spec` describes.

    Args:
        spec: the model.
        secure_sum: sum over the sites.
        start: coefficients to start from; None for those of a constant.
        tolerance: size of the last step, in standard errors.

    Raises:
        SpecError: the formula or the family does not fit the declared ranges.
        CodingError: with the binomial family and no weights, some outcome is neither 0 nor 1.
        NoRowsError: across all sites, no row meets the filter and has all values.
        CollinearityError, SeparationError, ConvergenceError: there is no estimate, or no unique one.
        PrecisionError: the sums are too coarse; the message says what helps.
    """
    score = _Score(spec, secure_sum)
    first = point = await score.at(await _start(spec, score, secure_sum) if start is None else score.inside(start))
    check_identifiable(score.names, first.information, secure_sum)
    if not secure_sum.below(first.rounding, COARSE):
        raise too_coarse(f"rounding could move an estimate by {first.rounding:.1g} standard errors")
    for _ in range(MAX_STEPS):
        step = newton_step(score.names, first.information, point.information, point.score)
        scale = sqrt(_dispersion(spec, point))
        decrement = sqrt(max(float(step @ point.score), 0.0))
        if secure_sum.below(decrement, max(tolerance, point.rounding / scale) * scale):
            null, sites = (nan, point.sites) if start is not None else await _null_deviance(spec, score, first, point)
            if sites == point.sites:
                return Fitted(_result(spec, score, point, point.b + step, null), *score.moments(point))
            point = await score.at(point.b + step)  # a site was lost in the meantime
            continue
        point = await _descend(score, point, step)
    raise ConvergenceError(f"Fisher scoring did not converge in {MAX_STEPS} steps")


class _Score:
    """The sums over the sites at given coefficients of the standardised design.

    Attributes:
        outcome, design: outcome and design, standardised.
        names: names of the covariates.
        unit, shift: scale of the outcome, and its centre in its own units.
        evaluations: number of evaluations so far.
        below: decides comparisons with a limit, as in `SecureSum`.
    """

    def __init__(self, spec: GlmSpec, secure_sum: SecureSum) -> None:
        self._spec = spec
        self._secure_sum = secure_sum
        given, design = spec.model()
        self._standard = Standardised.of(design)
        self.design = self._standard.design
        self.names = self.design.names
        gaussian = spec.family == "gaussian"
        self.outcome = standardised_outcome(given, centred="1" in self.names) if gaussian else given
        self.unit = self.outcome.scale / given.scale
        self.shift = (self.outcome.centre - given.centre) / given.scale
        self._limit = WIDE if spec.family == "gaussian" else FIRST_LIMIT
        self.evaluations = 0
        self.below = secure_sum.below

    def inside(self, b: Array) -> Array:
        """Return the coefficients of the standardised design and outcome, (p,)."""
        return self._standard.inside((b - self.shift * self._one) / self.unit)

    def outside(self, b: Array) -> Array:
        """Return the coefficients of the design and outcome that were asked for, (p,)."""
        coefficients: Array = self.unit * (self._standard.back @ b) + self.shift * self._one
        return coefficients

    def covariance(self, information: Array) -> Array:
        """Return the covariance of the coefficients that were asked for, with dispersion 1 of the outcome in its own
        units, (p, p).
        """
        inverse: Array = np.linalg.inv(information).astype(np.float64)
        return self._standard.covariance(inverse)

    def moments(self, point: _Point) -> tuple[Array, Array]:
        """Return the means of the covariates and their sums of squares about these, (p,) each; NaN without an
        intercept.
        """
        if "1" not in self.names:
            return np.full(len(self.names), nan), np.full(len(self.names), nan)
        sums = point.information @ self._one
        weight = float(sums @ self._one)
        about = point.information - np.outer(sums, sums) / weight
        return self._standard.means(sums / weight), np.diag(self._standard.products(about)).copy()

    @property
    def _one(self) -> Array:
        """The unit vector of the intercept, (p,); zeros without one."""
        one: Array = np.array([float(name == "1") for name in self.names])
        return one

    async def at(self, b: Array) -> _Point:
        """Return the sums at `b`; asks again with a higher limit if some row exceeds it."""
        while True:
            answered, answer = await self._ask(self._query(b))
            check_binary(self.outcome.column, float(answer.values["uncoded"]))
            if not answer.values["beyond"]:
                return self._point(b, answered, answer)
            if self._limit >= (1e9 if self._spec.family == "gaussian" else MAX_LIMIT):
                raise self._without_end(b)
            self._limit = min(2 * self._limit, 1e9 if self._spec.family == "gaussian" else MAX_LIMIT)

    def _without_end(self, b: Array) -> PrecisionError | SeparationError:
        if self._spec.family != "binomial":
            return too_coarse(f"a linear predictor exceeds {self._limit:g}")
        far = np.abs(b) * self.design.reach > ENDLESS
        names = [name for name, which in zip(self.names, far, strict=True) if which and name != "1"]
        return SeparationError(
            names or self.names,
            f"some row's odds exceed exp({self._limit:g}); these probably separate the outcomes; there is no estimate",
        )

    async def _ask(self, query: BoundQuery) -> tuple[BoundQuery, Sum]:
        self.evaluations += 1
        answer = await self._secure_sum(query)
        if answer.values["beyond"]:
            return query, answer
        if self.below(self._point(np.zeros(len(self.names)), query, answer).rounding, FINE):
            return query, answer
        return await ranged(query, self._secure_sum)

    def _query(self, b: Array) -> BoundQuery:
        spec = self._spec
        try:
            params = GlmScoreParams(
                family=spec.family,
                alpha=spec.alpha,
                design=self.design,
                coefficients=tuple(b.tolist()),
                outcome=self.outcome,
                offset=spec.offset.factor.model_copy(update={"scale": self.unit}) if spec.offset else None,
                weight=Numeric(**spec.weight.model_dump()) if spec.weight else None,
                limit=self._limit,
                row_limit=spec.row_limit,
            )
        except ValidationError as error:
            raise beyond_ranges(error) from None
        return spec.ask(GLM_SCORE, params, self._secure_sum.value_bits)

    def _point(self, b: Array, query: BoundQuery, answer: Sum) -> _Point:
        values, steps = answer.values, query.steps
        withheld = self._spec.warn_of_withheld(values, of_model=True)
        if values["rows"] < 1:
            raise refusal("across all sites, no row meets the filter and has all values", withheld)
        return _Point(
            b=b,
            score=values["score"],
            information=symmetric(values["information"], len(b)),
            score_error=len(answer.sites) / 2 * steps["score"],
            sums={name: float(values[name]) for name in ("rows", "weights", "deviance", "pearson", "own")},
            outside=values["outside"],
            sites=answer.sites,
            withheld=withheld,
        )


async def _start(spec: GlmSpec, score: _Score, secure_sum: SecureSum) -> Array:
    """Return the initial coefficients: the link of the mean outcome as intercept, zeros elsewhere.

    A transformed outcome begins at zeros, as the moments are those of its column.
    """
    start = np.zeros(len(score.names))
    if "1" not in score.names or spec.family == "gaussian" or score.outcome.function != Untransformed():
        return start
    low, high = score.outcome.low, score.outcome.high
    outcome = Variable(column=score.outcome.column, low=low, high=high)
    params = MomentsParams(variables=(outcome,), row_limit=spec.row_limit)
    beside = tuple(one.column for one in (spec.offset, spec.weight) if one)
    query = spec.ask(MOMENTS, params, secure_sum.value_bits, complete=score.design.columns + beside)
    sums = (await secure_sum(query)).values
    if sums["rows"] < 1:
        raise refusal("across all sites, no row meets the filter and has all values", spec.warn_of_withheld(sums))
    mean = float(params.middles[0] + sums["sums"][0] / sums["rows"])
    if spec.family == "binomial":
        start[score.names.index("1")] = float(logit(min(max(mean, 1e-3), 1 - 1e-3)))
    else:
        start[score.names.index("1")] = log(max(mean, 1e-3))
    return start


async def _null_deviance(spec: GlmSpec, score: _Score, first: _Point, point: _Point) -> tuple[float, tuple[str, ...]]:
    """Return the deviance of the intercept alone, NaN without one, and the sites that it covers.

    The fit started there, so this asks nothing more unless a site was lost since, or an offset shifts the intercept.
    """
    if "1" not in score.names:
        return nan, point.sites
    here, one = first, score.names.index("1")
    if len(here.sites) > len(point.sites):
        here = await score.at(here.b)
    for _ in range(MAX_STEPS):
        move = here.score[one] / here.information[one, one]
        gain = float(move * here.score[one])
        # A gaussian deviance is quadratic, so the gain of a step is known in advance.
        if spec.family == "gaussian" or score.below(sqrt(gain), max(TOLERANCE, here.rounding)):
            return here.sums["deviance"] - gain, here.sites
        here = await score.at(here.b + move * (np.arange(len(here.b)) == one))
    return nan, here.sites


async def _descend(score: _Score, point: _Point, step: Array) -> _Point:
    """Return the point after a step, halved while it raises the deviance over the same sites."""
    failure: Exception = ConvergenceError("no step in the scoring direction lowers the deviance")
    for halving in range(MAX_HALVINGS + 1):
        try:
            there = await score.at(point.b + step / 2**halving)
        except (PrecisionError, SeparationError) as error:
            failure = error
            continue
        slack = 1e-9 * (1 + abs(point.sums["deviance"]))
        if there.sites != point.sites or there.sums["deviance"] <= point.sums["deviance"] + slack:
            return there
    raise failure


def _dispersion(spec: GlmSpec, point: _Point) -> float:
    df = spec.count(point.sums) - len(point.b)
    return point.sums["pearson"] / df if spec.family in _ESTIMATED and df > 0 and point.sums["pearson"] > 0 else 1.0


def _log_likelihood(spec: GlmSpec, sums: dict[str, float], dispersion: float) -> float:
    count, deviance, own = spec.count(sums), sums["deviance"], sums["own"]
    if spec.family not in _ESTIMATED:
        return own - deviance / 2
    if (spec.weight and spec.weights_are == "precision") or deviance <= 0:
        return nan
    if spec.family == "gaussian":
        return -count / 2 * (log(2 * pi * deviance / count) + 1)
    shape = 1 / dispersion
    return float(count * (shape * log(shape) - gammaln(shape)) - shape * (deviance / 2 + count) - own)


def _result(spec: GlmSpec, score: _Score, point: _Point, b: Array, null_deviance: float) -> GlmResult:
    if not score.below(point.rounding, COARSE):
        raise too_coarse(f"rounding could move an estimate by {point.rounding:.1g} standard errors")
    p, sums = len(b), point.sums
    df = spec.count(sums) - p
    if df <= 0:
        raise refusal(f"{sums['rows']:.0f} rows across all sites are too few for {p} coefficients", point.withheld)
    estimated = spec.family in _ESTIMATED
    scale = float(b @ point.information @ b) if spec.family == "gaussian" else sums["weights"]
    if estimated and score.below(sums["pearson"], EXACT * scale):
        name = score.outcome.column
        raise CollinearityError((name,), "constant, or determined by the covariates without error; there is no test")
    square = score.unit**2
    sums = sums | {name: square * sums[name] for name in ("deviance", "pearson")}
    dispersion, null_deviance = _dispersion(spec, point) * (square if estimated else 1.0), null_deviance * square
    b = score.outside(b)
    covariance: Array = dispersion * score.covariance(point.information)
    se: Array = np.sqrt(np.diag(covariance))
    statistic = b / se
    tail = stdtr(df, -np.abs(statistic)) if estimated else ndtr(-np.abs(statistic))
    margin = float(stdtrit(df, 0.975) if estimated else ndtri(0.975)) * se
    log_likelihood = _log_likelihood(spec, sums, dispersion)
    tested = not estimated and p > 1 and not isnan(null_deviance)
    ratio = max(null_deviance - sums["deviance"], 0.0) if tested else None
    return GlmResult(
        family=spec.family,
        names=score.names,
        coef=b,
        se=se,
        covariance=covariance,
        statistic=statistic,
        p=2 * tail,
        lower=b - margin,
        upper=b + margin,
        ratio=_ratio(spec, b),
        ratio_lower=_ratio(spec, b - margin),
        ratio_upper=_ratio(spec, b + margin),
        dispersion=dispersion,
        deviance=sums["deviance"],
        pearson=sums["pearson"],
        null_deviance=null_deviance,
        likelihood_ratio=ratio,
        likelihood_ratio_p=None if ratio is None else float(chdtrc(p - 1, ratio)),
        df=df,
        log_likelihood=log_likelihood,
        aic=2 * p - 2 * log_likelihood,
        bic=p * log(spec.count(sums)) - 2 * log_likelihood,
        rows=round(sums["rows"]),
        iterations=score.evaluations,
        rounding=point.rounding,
        sites=point.sites,
        warnings=(*point.withheld, *_warnings(spec, score, point)),
    )


def _ratio(spec: GlmSpec, b: Array) -> Array:
    if spec.family not in _RATIOS:
        return np.full(len(b), nan)
    with np.errstate(over="ignore"):
        return np.exp(b)


def _warnings(spec: GlmSpec, score: _Score, point: _Point) -> list[str]:
    beside = [score.outcome.column, *(one.column for one in (spec.offset, spec.weight) if one)]
    counted = list(zip([*score.design.columns, *beside], point.outside, strict=True))
    categories = {factor.column for factor in score.design.factors if isinstance(factor, Coding)}
    found = [*warn_of_outside(*zip(*counted, strict=True))]
    found += [
        f"these {float(count):.0f} rows count as having the reference level of {column}; exclude them with a filter"
        for column, count in counted
        if count and column in categories
    ]
    df = spec.count(point.sums) - len(point.b)
    if spec.family in {"binomial", "poisson"} and point.sums["pearson"] > 1.5 * df > 0:
        found.append(
            f"Pearson's chi-square is {point.sums['pearson'] / df:.2f} times its degrees of freedom: overdispersion"
        )
    return found
