"""Ordinal logistic regression (proportional odds) on the rows of all sites, from sums alone.

For an outcome with the levels 0 ... J in order, cuts c_1 < ... < c_J and covariates z,

    log odds (y < j) = c_j - coef . z        so a positive coefficient goes with higher levels

The estimator is the pooled one: cuts and coefficients maximise the likelihood of all rows, by Newton's method on score
and information of `participant.statistics.vocabulary.ordinal_score`. Standard errors come from the information; the
likelihood-ratio test is against the model without covariates, whose likelihood follows from the number of rows of each
level.

Rounds: one for the number of rows of each level, then one or two for each step, about five: if the bounds proven from
ranges make the sums too coarse, a round of `ranges` precedes it. The fit starts at the cuts of the model without
covariates; the linear predictor is clipped at a limit that doubles whenever some row exceeds it.

Convergence: the next step is below 1e-8 standard errors, or below the possible effect of rounding; that step is
still taken. A step is halved while it lowers the likelihood or the cuts are out of order.

Disclosure: see `participant.statistics.vocabulary.ordinal_score`. An example, performance status by age and sex:

    analysis = "ordinal"
    dataset = "lung"
    formula = "C(ph.ecog) ~ age + sex"
    numbers = [{column = "age", low = 18, high = 100}]
    categories = [{column = "ph.ecog", levels = [0, 1, 2]}, {column = "sex", levels = [1, 2]}]
    row_limit = 1000
    minimum_persons = 1     # most of these sites have fewer than five patients with some level

Sources: McCullagh 1980, J R Stat Soc B 42:109; Agresti 2010, "Analysis of Ordinal Categorical Data", chapter 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import ValidationError

from participant.analyses.base.coefficients import CoefficientResult
from participant.analyses.base.declared import warn_of_outside
from participant.analyses.base.errors import (
    ConvergenceError,
    NoRowsError,
    PrecisionError,
    SeparationError,
    SpecError,
    beyond_ranges,
    too_coarse,
)
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.newton import check_identifiable, newton_step
from participant.analyses.base.ranged import ranged
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.standardised import Standardised
from participant.analyses.base.symmetric import symmetric
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import ORDINAL_SCORE
from participant.statistics.language.layout import Array
from participant.statistics.models.design import INTERCEPT, Category, Coding, Design
from participant.statistics.models.special import chdtrc, logit, ndtr, ndtri
from participant.statistics.vocabulary.glm_score import MAX_LIMIT
from participant.statistics.vocabulary.ordinal_score import MAX_CUT, OrdinalScoreParams

TOLERANCE = 1e-8  # largest last step, in standard errors
MAX_STEPS = 50
MAX_HALVINGS = 12
FINE = 1e-7  # effect of rounding on an estimate, in standard errors, that triggers a round of ranges
COARSE = 1e-3  # such an effect above which the sums are refused
FIRST_LIMIT = 8.0  # initial limit of the linear predictor

_SEPARATED = "the estimate grows without bound; these probably separate the levels"


class OrdinalSpec(FormulaSpec):
    """A proportional-odds model as a formula; its outcome is a category with ordered levels."""

    analysis: Literal["ordinal"] = "ordinal"

    def outcome_and_design(self) -> tuple[Category, Design]:
        """Return the outcome, and the design without an intercept, which the cuts replace.

        Raises:
            SpecError: the formula is invalid, its outcome is not a category, or it has no covariates.
        """
        model = self.parsed()
        if not isinstance(model.outcome, Coding):
            raise SpecError("the outcome of an ordinal model must be a category with ordered levels")
        terms = tuple(term for term in model.design.terms if term != INTERCEPT)
        if not terms or INTERCEPT not in model.design.terms:
            raise SpecError("the formula of an ordinal model needs covariates, and must keep its intercept (the cuts)")
        return Category(column=model.outcome.column, levels=model.outcome.levels), Design(terms=terms)

    async def analyse(self, secure_sum: SecureSum) -> "OrdinalResult":
        """Run the analysis; raises the same errors as `fit_ordinal`."""
        return await fit_ordinal(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OrdinalResult(CoefficientResult):
    """The fit, with these attributes in addition to those of every regression.

    Attributes:
        outcome: column of the outcome.
        coef: log odds ratios of higher levels.
        odds_ratio: exp(coef).
        z, p: coef / se and its two-sided p-value.
        lower, upper: 95 % confidence interval of the odds ratio.
        cut_names, cuts, cut_se: (J,) names, positions and standard errors of the cuts.
        covariance: (J + p, J + p) covariance of the cuts, then the coefficients.
        levels: (J + 1,) number of rows of each level.
        log_likelihood, null_log_likelihood: values at the estimate, and without covariates.
        likelihood_ratio, likelihood_ratio_p: joint test of all coefficients.
        aic, bic: information criteria of the fit, with J + p parameters.
        iterations: number of evaluations of the score.
        rounding: bound on the effect of quantisation on an estimate, in standard errors.
    """

    analysis: ClassVar[str] = "ordinal"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "coef": ".6g",
        "odds_ratio": ".4f",
        "se": ".4g",
        "z": ".3f",
        "p": ".3g",
        "lower": ".4f",
        "upper": ".4f",
    }
    drawn: ClassVar[str] = "odds_ratio"

    outcome: str
    odds_ratio: Array
    z: Array
    cut_names: tuple[str, ...]
    cuts: Array
    cut_se: Array
    levels: Array
    log_likelihood: float
    null_log_likelihood: float
    likelihood_ratio: float
    likelihood_ratio_p: float
    aic: float
    bic: float
    iterations: int
    rounding: float

    def columns(self) -> Mapping[str, Array]:
        return {
            "coef": self.coef,
            "se": self.se,
            "odds_ratio": self.odds_ratio,
            "lower": self.lower,
            "upper": self.upper,
            "z": self.z,
            "p": self.p,
        }

    @property
    def title(self) -> str:
        return f"Ordinal logistic regression of {self.outcome}"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Iterations": self.iterations,
            "Log-likelihood": self.log_likelihood,
            "LL without covariates": self.null_log_likelihood,
            "Likelihood ratio": self.likelihood_ratio,
            "P > likelihood ratio": f"{self.likelihood_ratio_p:.3g}",
            "AIC": self.aic,
            "BIC": self.bic,
        }

    def notes(self) -> list[str]:
        cuts = zip(self.cut_names, self.cuts, self.cut_se, strict=True)
        return [
            "The interval is for the odds ratio of higher against lower levels.",
            f"Cuts (std err): {', '.join(f'{name} {cut:.4f} ({se:.4f})' for name, cut, se in cuts)}",
        ]


class _Point(NamedTuple):
    """The sums at given parameters: J cuts, then p coefficients.

    Attributes:
        at: (J + p,) parameters.
        log_likelihood, score, information: (), (J + p,), (J + p, J + p).
        score_error: (J + p,), bound on the effect of rounding.
        levels: (J + 1,) number of rows of each level.
        outside, sites, withheld: clipped values, contributing sites and withheld rows of the answer.
    """

    at: Array
    log_likelihood: float
    score: Array
    information: Array
    score_error: Array
    levels: Array
    outside: Array
    sites: tuple[str, ...]
    withheld: list[str]

    @property
    def rounding(self) -> float:
        """Bound on the effect of rounding on an estimate, in standard errors."""
        diagonal = np.diag(self.information)
        return float((self.score_error / np.sqrt(diagonal)).max()) if (diagonal > 0).all() else np.inf


async def fit_ordinal(spec: OrdinalSpec, secure_sum: SecureSum) -> OrdinalResult:
    """Fit the model that `spec` describes.

    Raises:
        SpecError: the formula does not suit an ordinal model.
        NoRowsError: across all sites, a level has no row.
        CollinearityError, SeparationError, ConvergenceError: there is no estimate, or no unique one.
        PrecisionError: the sums are too coarse; the message says what helps.
    """
    score = _Score(spec, secure_sum)
    first = point = await score.start()
    check_identifiable(score.names, first.information, secure_sum)
    for _ in range(MAX_STEPS):
        if not secure_sum.below(point.rounding, COARSE):
            raise too_coarse(f"rounding could move an estimate by {point.rounding:.1g} standard errors")
        step = score.step(first, point)
        if secure_sum.below(sqrt(max(float(step @ point.score), 0.0)), max(TOLERANCE, point.rounding)):
            return _result(score, point, point.at + step)
        point = await score.climb(point, step)
    raise ConvergenceError(f"Newton's method did not converge in {MAX_STEPS} steps")


class _Score:
    """The sums over the sites at given cuts and coefficients of the standardised design."""

    def __init__(self, spec: OrdinalSpec, secure_sum: SecureSum) -> None:
        self._spec = spec
        self._secure_sum = secure_sum
        self.outcome, design = spec.outcome_and_design()
        # The cuts take up what an intercept would.
        standard = Standardised.of(Design(terms=(INTERCEPT, *design.terms)))
        self.design = Design(terms=standard.design.terms[1:])
        self._back = standard.back
        self.cut_names = tuple(f"{low:g}|{high:g}" for low, high in pairwise(self.outcome.levels))
        self.names = (*self.cut_names, *self.design.names)
        self._limit = FIRST_LIMIT
        self.evaluations = 0

    @property
    def outside(self) -> Array:
        """The matrix that turns cuts and coefficients into those of the design that was asked for, (J + p, J + p)."""
        cuts = len(self.cut_names)
        matrix = np.eye(len(self.names))
        matrix[:cuts, cuts:] = -self._back[0, 1:]
        matrix[cuts:, cuts:] = self._back[1:, 1:]
        return matrix

    async def start(self) -> _Point:
        """Return the point of the model without covariates."""
        apart = np.arange(len(self.cut_names), dtype=np.float64) / len(self.cut_names)
        nothing = np.zeros(len(self.design.names))
        answer = await self._secure_sum(self._query(np.append(apart, nothing)))
        levels = answer.values["levels"]
        self._check(levels)
        return await self.at(np.append(logit(np.cumsum(levels)[:-1] / levels.sum()), nothing))

    async def at(self, parameters: Array) -> _Point:
        """Return the sums at given parameters; asks again with a higher limit if some row exceeds it."""
        while True:
            query, answer = await self._ask(self._query(parameters))
            if not answer.values["beyond"]:
                self._check(answer.values["levels"])
                return self._point(parameters, query, answer)
            if self._limit >= MAX_LIMIT:
                raise SeparationError(self.design.names, _SEPARATED)
            self._limit = min(2 * self._limit, MAX_LIMIT)

    def step(self, first: _Point, point: _Point) -> Array:
        """Return the step. If only information about cuts has vanished, any covariate may have separated the levels."""
        try:
            return newton_step(self.names, first.information, point.information, point.score)
        except SeparationError as error:
            covariates = [name for name in error.columns if name not in self.cut_names]
            raise SeparationError(covariates or self.design.names, _SEPARATED) from None

    async def climb(self, point: _Point, step: Array) -> _Point:
        """Return the point after a step, halved while it lowers the likelihood of the same sites or is infeasible."""
        failure: Exception = ConvergenceError("no step in Newton's direction raises the likelihood")
        for halving in range(MAX_HALVINGS + 1):
            parameters = point.at + step / 2**halving
            cuts = parameters[: len(self.cut_names)].tolist()
            if any(self._secure_sum.below(after, before) for before, after in pairwise(cuts)):
                continue
            try:
                there = await self.at(parameters)
            except (PrecisionError, SeparationError) as error:
                failure = error
                continue
            slack = 1e-9 * (1 + abs(point.log_likelihood))
            if there.sites != point.sites or there.log_likelihood >= point.log_likelihood - slack:
                return there
        raise failure

    async def _ask(self, query: BoundQuery) -> tuple[BoundQuery, Sum]:
        self.evaluations += 1
        answer = await self._secure_sum(query)
        if answer.values["beyond"]:
            return query, answer
        if self._secure_sum.below(self._point(np.zeros(len(self.names)), query, answer).rounding, FINE):
            return query, answer
        return await ranged(query, self._secure_sum)

    def _query(self, parameters: Array) -> BoundQuery:
        cuts, coefficients = np.split(parameters, [len(self.cut_names)])
        if not self._secure_sum.below(float(np.abs(cuts).max()), MAX_CUT):
            raise SeparationError(self.design.names, _SEPARATED)
        try:
            params = OrdinalScoreParams(
                design=self.design,
                weight=None,
                coefficients=tuple(coefficients.tolist()),
                outcome=self.outcome,
                cuts=tuple(cuts.tolist()),
                limit=self._limit,
                row_limit=self._spec.row_limit,
            )
        except ValidationError as error:
            raise beyond_ranges(error) from None
        return self._spec.ask(ORDINAL_SCORE, params, self._secure_sum.value_bits)

    def _check(self, levels: Array) -> None:
        if not levels.sum():
            raise NoRowsError("across all sites, no row meets the filter and has all values")
        if empty := [f"{level:g}" for level, rows in zip(self.outcome.levels, levels, strict=True) if not rows]:
            raise NoRowsError(
                f"across all sites, no row has {self.outcome.column} {', '.join(empty)}; leave such levels out"
            )

    def _point(self, parameters: Array, query: BoundQuery, answer: Sum) -> _Point:
        values, steps = answer.values, query.steps
        cuts, p = len(self.cut_names), len(self.design.names)
        information = np.zeros((cuts + p, cuts + p))
        diagonal, beside = np.split(values["cut_cut"], [cuts])
        information[:cuts, :cuts] = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        information[:cuts, cuts:] = values["cut_cross"].T
        information[cuts:, :cuts] = values["cut_cross"]
        information[cuts:, cuts:] = symmetric(values["cross"], p)
        return _Point(
            at=parameters,
            log_likelihood=float(values["log_likelihood"]),
            score=np.append(values["cut_score"], values["score"]),
            information=information,
            score_error=len(answer.sites) / 2 * np.append(steps["cut_score"], steps["score"]),
            levels=values["levels"],
            outside=values["outside"],
            sites=answer.sites,
            withheld=self._spec.warn_of_withheld(values, of_model=True),
        )


def _result(score: _Score, point: _Point, at: Array) -> OrdinalResult:
    cuts = len(score.cut_names)
    covariance: Array = score.outside @ np.linalg.inv(point.information) @ score.outside.T
    at = score.outside @ at
    coef, errors = at[cuts:], np.sqrt(np.diag(covariance))
    se = errors[cuts:]
    margin = float(ndtri(0.975)) * se
    rows = float(point.levels.sum())
    null = float(point.levels @ np.log(point.levels / rows))
    ratio = max(2 * (point.log_likelihood - null), 0.0)
    return OrdinalResult(
        outcome=score.outcome.column,
        names=score.design.names,
        coef=coef,
        se=se,
        odds_ratio=np.exp(coef),
        z=coef / se,
        p=2 * ndtr(-np.abs(coef / se)),
        lower=np.exp(coef - margin),
        upper=np.exp(coef + margin),
        cut_names=score.cut_names,
        cuts=at[:cuts],
        cut_se=errors[:cuts],
        covariance=covariance,
        levels=point.levels,
        log_likelihood=point.log_likelihood,
        null_log_likelihood=null,
        likelihood_ratio=ratio,
        likelihood_ratio_p=float(chdtrc(len(coef), ratio)),
        aic=2 * len(at) - 2 * point.log_likelihood,
        bic=len(at) * log(rows) - 2 * point.log_likelihood,
        rows=round(rows),
        iterations=score.evaluations,
        rounding=point.rounding,
        sites=point.sites,
        warnings=(*point.withheld, *warn_of_outside([*score.design.columns, score.outcome.column], point.outside)),
    )
