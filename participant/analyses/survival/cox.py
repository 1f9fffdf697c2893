"""Cox proportional-hazards regression on the rows of all sites, from sums alone.

The estimator is the pooled one: the coefficients maximise the partial likelihood with Efron's or Breslow's treatment of
ties on the agreed grid, with separate risk sets for each stratum (`partial_likelihood` has the formulas).

With pooled floors, the grid is that of the intervals that the sites merged (`merging`), and the estimate the pooled one
on that grid; if a site is lost midway, the fit starts over with the others.

Rounds: one of moments (covariates are standardised by pooled means and standard deviations), one of event counts (the
later rounds ask only for grid times with an event, and for tie sums only at times with two or more),
then one for each Newton step, about five (plus one whenever a patient's weight exceeds its expected limit), and one for
the test of proportional hazards, if requested (`proportional_hazards`).

Convergence: Newton's method from b = 0, halving a step while it lowers the likelihood. The fit has converged when
the next step is below 1e-6 standard errors (in the norm of the information) or below the possible effect of rounding;
that step is still taken, since it costs no round. If a site is lost midway, its rows leave the fit: the estimate, its
standard errors and both likelihoods cover the sites of the last round.

Disclosure: see the three statistics; on a fine grid, the risk sets disclose a great deal. An example:

    analysis = "cox"
    dataset = "lung"
    time = "time"
    event = "status"
    grid = {width = 7, count = 150}
    minimum_persons = 1     # these sites have an event or two in most weeks
    row_limit = 1000
    covariates = [{column = "age", low = 18, high = 100}, {column = "ph.ecog", low = 0, high = 4}]
    strata = [{column = "sex", levels = [1, 2]}]
    proportional_hazards = "km"

Sources: Cox 1972, J R Stat Soc B 34:187; Therneau, Grambsch 2000, "Modeling survival data", chapter 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from participant.analyses.base.coefficients import CoefficientResult
from participant.analyses.base.declared import refusal
from participant.analyses.base.errors import (
    AnalysisError,
    CohortError,
    CollinearityError,
    ConvergenceError,
    NoEventsError,
    NoRowsError,
    PrecisionError,
    SeparationError,
    SpecError,
    too_coarse,
)
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import SurvivalSpec
from participant.analyses.survival.partial_likelihood import Point, partial_likelihood
from participant.analyses.survival.proportional_hazards import (
    ProportionalHazards,
    Transform,
    proportional_hazards,
    trend_of,
)
from participant.statistics.evaluation.registry import COX_RISK_SETS, EVENT_COUNTS, MOMENTS
from participant.statistics.evaluation.suppression import ANSWERED, ASKED
from participant.statistics.language.layout import Array
from participant.statistics.models.cells import Categories, cells_of
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.special import chdtrc, ndtr, ndtri
from participant.statistics.models.variables import Variable, distinct
from participant.statistics.vocabulary.cox_risk_sets import MAX_COVARIATES, MAX_LOG_WEIGHT, CoxRiskSetsParams
from participant.statistics.vocabulary.event_counts import CENSORED_ENDS, EVENT_ENDS, EventCountsParams
from participant.statistics.vocabulary.moments import MomentsParams

TOLERANCE = 1e-6  # Newton decrement, in standard errors
MAX_STEPS = 25
MAX_HALVINGS = 10
COARSE = 1e-3  # largest effect of rounding on an estimate, in standard errors
CONSTANT = 1e-6  # share of the declared range; a column with a smaller standard deviation is constant
COLLINEAR = 1e-7  # smallest eigenvalue of the information, scaled to unit diagonal
STILL_MOVING = 0.01  # step of a coefficient, per standard deviation of its covariate
VANISHED = 1e-4  # share of a direction's information at the start
UNBELIEVABLE = 5.0  # log hazard ratio per standard deviation
FARTHEST = 1e6  # largest b.z within the declared ranges, far beyond any hazard ratio
REACH = 6.0  # expected limit of b.z, in units of |b|; doubled whenever a row exceeds it
FEW_EVENTS = 10  # events per covariate below which a warning says so
NOT_PROPORTIONAL = 0.05  # p-value below which a warning says so

_SEPARATED = (
    "the estimate grows without bound; probably no event, or every event, falls on one side of these columns' values. "
    "Leave them out, or merge rare categories"
)


class CoxSpec(SurvivalSpec):
    """A Cox model.

    Attributes:
        covariates: columns with their declared ranges; values outside are clipped and counted.
        strata: categories, each combination of which has its own baseline hazard.
        ties: treatment of events at the same grid time.
        proportional_hazards: function of time for the test of proportional hazards, or None for no test.
    """

    analysis: Literal["cox"] = "cox"
    covariates: Annotated[
        tuple[Variable, ...], Field(min_length=1, max_length=MAX_COVARIATES), AfterValidator(distinct)
    ]
    strata: Categories = ()
    ties: Literal["efron", "breslow"] = "efron"
    proportional_hazards: Transform | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(covariate.column for covariate in self.covariates)

    @property
    def complete(self) -> tuple[str, ...]:
        """The columns in which a row must be complete."""
        return (self.time, self.event, *self.names, *(category.column for category in self.strata))

    async def analyse(self, secure_sum: SecureSum) -> "CoxResult":
        """Run the analysis; raises the same errors as `fit_cox`."""
        return await fit_cox(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoxResult(CoefficientResult):
    """The fit, with these attributes in addition to those of every regression.

    Attributes:
        coef: log hazard ratios per unit of the covariate.
        hazard_ratio: exp(coef).
        z: coef / se.
        p: two-sided p-values of z.
        lower, upper: 95 % confidence interval of the hazard ratio.
        log_likelihood: log-likelihood at the estimate.
        null_log_likelihood: log-likelihood at coef = 0, over the same rows.
        likelihood_ratio: joint test statistic of all coefficients, chi-square with p degrees of freedom.
        likelihood_ratio_p: p-value of that test.
        events: number of events across all sites.
        iterations: number of evaluations of the likelihood, one round each.
        rounding: bound on the effect of quantisation on an estimate, in standard errors.
        ties, strata: treatment of ties; columns that form the strata.
        proportional_hazards: tests of proportional hazards, or None.
    """

    analysis: ClassVar[str] = "cox"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "coef": ".6f",
        "hazard_ratio": ".4f",
        "se": ".6f",
        "z": ".3f",
        "p": ".3g",
        "lower": ".4f",
        "upper": ".4f",
    }
    drawn: ClassVar[str] = "hazard_ratio"

    hazard_ratio: Array
    z: Array
    log_likelihood: float
    null_log_likelihood: float
    likelihood_ratio: float
    likelihood_ratio_p: float
    events: int
    iterations: int
    rounding: float
    ties: str
    strata: tuple[str, ...]
    proportional_hazards: ProportionalHazards | None

    def columns(self) -> Mapping[str, Array]:
        """Return the columns other than the names, including those of the tests of proportional hazards."""
        columns = {
            "coef": self.coef,
            "se": self.se,
            "hazard_ratio": self.hazard_ratio,
            "lower": self.lower,
            "upper": self.upper,
            "z": self.z,
            "p": self.p,
        }
        if tests := self.proportional_hazards:
            columns |= {"residual_p": tests.residual_p, "score": tests.score, "score_p": tests.score_p}
        return columns

    @property
    def title(self) -> str:
        strata = f", strata of {' and '.join(self.strata)}" if self.strata else ""
        return f"Cox regression, {self.ties.capitalize()}'s treatment of ties{strata}"

    def facts(self) -> dict[str, Any]:
        return {
            "Patients": self.rows,
            "Events": self.events,
            "Iterations": self.iterations,
            "Log-likelihood": self.log_likelihood,
            "LL at zero": self.null_log_likelihood,
            "Likelihood ratio": self.likelihood_ratio,
            "Degrees of freedom": len(self.names),
            "P > likelihood ratio": f"{self.likelihood_ratio_p:.3g}",
        }

    def notes(self) -> list[str]:
        found = ["The interval is for the hazard ratio."]
        if tests := self.proportional_hazards:
            found.append(
                f"Proportional hazards, score test against time ({tests.transform}): all at once {tests.overall:.3f}, "
                f"p = {tests.overall_p:.3g}"
            )
            found.extend(
                f"  {name}: {score:.3f}, p = {p:.3g} (of the scaled Schoenfeld residuals p = {residual_p:.3g})"
                for name, score, p, residual_p in zip(
                    self.names, tests.score, tests.score_p, tests.residual_p, strict=True
                )
            )
        return found


class _OtherGridError(Exception):
    """A site was lost, and the remaining ones may merge other intervals."""


async def fit_cox(spec: CoxSpec, secure_sum: SecureSum) -> CoxResult:
    """Fit the model that `spec` describes; with pooled floors, on the grid of merged intervals.

    Raises:
        NoRowsError, NoEventsError, CodingError: the sites' pooled data leave nothing to fit.
        CollinearityError, SeparationError, ConvergenceError: there is no estimate, or no unique one.
        PrecisionError: the sums are too coarse; the message says what helps.
        CohortError: a site joined in the middle of the run.
        SpecError: the test of proportional hazards needs the logarithm of an event's time, which is 0.
        ParameterError: a range, coefficient or size exceeds what a query can hold.
    """
    while True:
        try:
            return await _fit(spec, secure_sum)
        except _OtherGridError:
            continue  # with fewer sites than before


async def _fit(spec: CoxSpec, secure_sum: SecureSum) -> CoxResult:
    centre, scale = await _standardisation(spec, secure_sum)
    times = await _event_times(spec, secure_sum)
    likelihood = _Likelihood(spec, secure_sum, centre, scale, times)
    tests: ProportionalHazards | None = None
    null = point = await likelihood.at_start()
    for _ in range(MAX_STEPS):
        step = _newton_step(spec, null, point, secure_sum)
        if not _converged(point, step, secure_sum):
            point = await likelihood.climb(point, step)
            continue
        if null.sites != point.sites:
            null = await likelihood.at_start()
        if spec.proportional_hazards:
            if times.sites != point.sites:
                times = await _event_times(spec, secure_sum)
            tests = await likelihood.trend(spec.proportional_hazards, point.beta + step, times)
        if null.sites == point.sites == likelihood.sites:
            _check_precision(point, secure_sum)
            return _result(spec, null, point, point.beta + step, scale, likelihood.evaluations, tests, times.warnings)
        point = await likelihood.at(point.beta)  # another site was lost; continue from here without it
    raise ConvergenceError(f"Newton's method did not converge in {MAX_STEPS} steps")


async def _standardisation(spec: CoxSpec, secure_sum: SecureSum) -> tuple[Array, Array]:
    """Return the pooled means and standard deviations of the covariates, (p,) each."""
    params = MomentsParams(variables=spec.covariates, row_limit=spec.row_limit)
    query = spec.ask(MOMENTS, params, secure_sum.value_bits, complete=spec.complete)
    answer = await secure_sum(query)
    rows = float(answer.values["rows"])
    if rows < 1:
        raise NoRowsError("across all sites, no row meets the filter and has all values")
    shift = answer.values["sums"] / rows
    variance = answer.values["squares"] / rows - shift**2
    width = np.array([covariate.high - covariate.low for covariate in spec.covariates])
    steps = query.steps
    rounding = len(answer.sites) / 2 * (steps["squares"] + 2 * np.abs(shift) * steps["sums"]) / rows
    if (rounding > np.maximum(variance / 4, (CONSTANT * width) ** 2)).any():
        raise too_coarse("rounding hides whether a covariate varies at all")
    if constant := _where(spec, variance < (CONSTANT * width) ** 2):
        raise CollinearityError(
            constant, "the same value in all rows, or hardly any variation within the declared range"
        )
    return params.middles + shift, np.sqrt(variance)


def _standardised(covariates: tuple[Variable, ...], centre: Array, scale: Array) -> Design:
    return Design(
        terms=tuple(
            (Numeric(column=one.column, low=one.low, high=one.high, centre=float(mean), scale=float(deviation)),)
            for one, mean, deviation in zip(covariates, centre, scale, strict=True)
        )
    )


class _EventTimes(NamedTuple):
    """Times with an event in any stratum, and those with several, in the numbering of `cox-risk-sets`; ends of merged
    intervals, if the sites merged them; counts of events and rows at risk over all strata, (K + 1,) each; the
    contributing sites, and warnings about withheld rows.
    """

    at: tuple[int, ...]
    tied: tuple[int, ...]
    event_ends: tuple[int, ...]
    censored_ends: tuple[int, ...]
    events: Array
    at_risk: Array
    sites: tuple[str, ...]
    warnings: list[str]


async def _event_times(spec: CoxSpec, secure_sum: SecureSum) -> _EventTimes:
    params = EventCountsParams(outcome=spec.outcome, by=spec.strata, row_limit=spec.row_limit)
    answer = await secure_sum(spec.ask(EVENT_COUNTS, params, secure_sum.value_bits, complete=spec.complete))
    spec.check_coding(answer.values["outside"])
    events, at_risk = (answer.values[name].reshape(-1, spec.grid.count + 1) for name in ("events", "at_risk"))
    hidden = spec.warn_of_withheld(answer.values)
    if not events.any():
        none = "across all sites, no event lies on the grid, so there is nothing to fit"
        raise NoEventsError("; ".join([none, *hidden]))
    if spec.proportional_hazards == "log" and events[:, 0].any():
        raise SpecError("some events are at time 0, which has no logarithm; use another proportional_hazards")
    # In each stratum, the last number stands for times beyond the grid.
    numbered = np.pad(events, ((0, 0), (0, 1))).ravel()
    return _EventTimes(
        at=tuple(np.flatnonzero(numbered > 0).tolist()),
        tied=tuple(np.flatnonzero(numbered > 1).tolist()) if spec.ties == "efron" else (),
        event_ends=_ends(answer, EVENT_ENDS),
        censored_ends=_ends(answer, CENSORED_ENDS),
        events=events.sum(axis=0),
        at_risk=at_risk.sum(axis=0),
        sites=answer.sites,
        warnings=[*hidden, *_other_codes(spec, at_risk[:, 0])],
    )


def _ends(answer: Sum, name: str) -> tuple[int, ...]:
    return tuple(np.flatnonzero(answer.values.get(name, ())).tolist())


def _other_codes(spec: CoxSpec, rows: Array) -> list[str]:
    """Return a warning if `rows`, (strata,), counts rows outside the declared levels."""
    declared = rows.reshape(cells_of(spec.strata))[tuple(slice(-1) for _ in spec.strata)]
    if not (other := round(float(rows.sum() - declared.sum()))):
        return []
    columns = " or ".join(category.column for category in spec.strata)
    return [f"{other} rows have a value of {columns} that is not a declared level; they form strata of their own"]


class _Likelihood:
    """The partial likelihood over the sites; each evaluation takes one round.

    Attributes:
        sites: sites of the last round.
        evaluations: number of evaluations so far.
    """

    def __init__(self, spec: CoxSpec, secure_sum: SecureSum, centre: Array, scale: Array, times: _EventTimes) -> None:
        self._spec = spec
        self._secure_sum = secure_sum
        self._params = CoxRiskSetsParams(
            outcome=spec.outcome,
            design=_standardised(spec.covariates, centre, scale),
            strata=spec.strata,
            beta=(0.0,) * len(spec.covariates),
            log_weight_limit=0.0,
            at=times.at,
            tied=times.tied,
            trend=(),
            event_ends=times.event_ends,
            censored_ends=times.censored_ends,
            row_limit=spec.row_limit,
        )
        self.sites = times.sites
        self._reach = REACH
        self.evaluations = 0

    async def at_start(self) -> Point:
        """Return the point at b = 0 after checking that the information there identifies the covariates' effects."""
        point = await self.at(np.zeros(len(self._spec.covariates)))
        _check_identifiable(self._spec, point, self._secure_sum)
        return point

    async def at(self, beta: Array) -> Point:
        """Return the point at `beta`; asks again with a higher limit on the weights if some row exceeds it.

        Raises:
            PrecisionError: the weights vary more than the sums can represent.
        """
        params, answer = await self._ask(beta)
        steps = COX_RISK_SETS.layout(params).steps(self._spec.value_bits or self._secure_sum.value_bits)
        return partial_likelihood(params, answer, steps)

    async def trend(self, transform: Transform, beta: Array, times: _EventTimes) -> ProportionalHazards | None:
        """Return the tests of proportional hazards at the estimate `beta`, or None if there are none."""
        g = trend_of(transform, self._spec.grid, times.events, times.at_risk)
        params, answer = await self._ask(beta, g[np.array(self._params.at) % self._params.stride])
        return proportional_hazards(params, answer.values, transform)

    async def _ask(self, beta: Array, trend: Sequence[float] | Array = ()) -> tuple[CoxRiskSetsParams, Sum]:
        if not self._secure_sum.below(float(np.abs(beta) @ self._params.design.reach), FARTHEST):
            raise too_coarse(f"a patient's b.z could exceed {FARTHEST:g}")
        while True:
            limit = min(1 + self._reach * float(np.linalg.norm(beta)), MAX_LOG_WEIGHT)
            changes = {"beta": tuple(beta.tolist()), "log_weight_limit": limit, "trend": tuple(map(float, trend))}
            params = self._params.model_copy(update=changes)
            answer = await self._secure_sum(self._spec.ask(COX_RISK_SETS, params, self._secure_sum.value_bits))
            self.evaluations += 1
            self._note(answer.sites)
            if answer.values.get(ASKED, 0.0) > answer.values.get(ANSWERED, 0.0) == 0:
                few = self._spec.warn_of_withheld(answer.values, of_model=True)
                raise refusal("the sites give none of the sums of the fit", few)
            if not answer.values["heavier"]:
                return params, answer
            if limit >= MAX_LOG_WEIGHT:
                raise too_coarse(f"a weight exceeds exp({MAX_LOG_WEIGHT:g})")
            self._reach *= 2

    async def climb(self, point: Point, step: Array) -> Point:
        """Return the point after a Newton step, halved while it lowers the likelihood over the same sites or makes the
        sums too coarse.
        """
        failure: AnalysisError = ConvergenceError("no step in Newton's direction raises the likelihood")
        for halving in range(MAX_HALVINGS + 1):
            try:
                there = await self.at(point.beta + step / 2**halving)
                _check_precision(there, self._secure_sum)
            except PrecisionError as error:
                failure = error
                continue
            slack = 1e-9 * abs(point.log_likelihood) + point.log_likelihood_error + there.log_likelihood_error
            lowest = point.log_likelihood - slack
            if there.sites != point.sites or self._secure_sum.below(lowest, there.log_likelihood):
                return there
        if endless := _where(self._spec, np.abs(point.beta) > UNBELIEVABLE):
            raise SeparationError(endless, _SEPARATED)
        raise failure

    def _note(self, sites: tuple[str, ...]) -> None:
        if self._params.event_ends and set(sites) < set(self.sites):
            raise _OtherGridError
        if joined := sorted(set(sites) - set(self.sites)):
            raise CohortError(f"in the middle of the run, a sum has sites that earlier ones lacked: {joined}")
        self.sites = sites


def _check_identifiable(spec: CoxSpec, null: Point, secure_sum: SecureSum) -> None:
    """Raise if the information at the start does not identify the covariates' effects."""
    diagonal = np.diag(null.information)
    if flat := _where(spec, diagonal <= COLLINEAR * null.events):
        raise CollinearityError(flat, "constant among the rows at risk at every event")
    _check_precision(null, secure_sum)
    values, vectors = np.linalg.eigh(null.information / np.sqrt(np.outer(diagonal, diagonal)))
    if secure_sum.below(values[0], max(COLLINEAR, 10 * null.rounding)):
        involved = _where(spec, np.abs(vectors[:, 0]) > COARSE)
        raise CollinearityError(involved, "one of these columns is a linear combination of the others; leave one out")


def _newton_step(spec: CoxSpec, null: Point, point: Point, secure_sum: SecureSum) -> Array:
    """Return information^-1 score.

    Raises:
        SeparationError: the information vanishes in a direction in which the estimate still grows.
    """
    here, before = np.diag(point.information).tolist(), np.diag(null.information).tolist()
    vanished = np.array([secure_sum.below(now, VANISHED * then) for now, then in zip(here, before, strict=True)])
    try:
        np.linalg.cholesky(point.information)
    except np.linalg.LinAlgError:
        raise SeparationError(_where(spec, vanished) or spec.names, _SEPARATED) from None
    step = np.linalg.solve(point.information, point.score).astype(np.float64)
    if endless := _where(spec, vanished & (step * np.sign(point.beta) > STILL_MOVING)):
        raise SeparationError(endless, _SEPARATED)
    return step


def _converged(point: Point, step: Array, secure_sum: SecureSum) -> bool:
    # Under separation, score and information vanish together while the steps keep their length.
    decrement = sqrt(max(float(step @ point.score), 0.0))
    close = secure_sum.below(decrement, max(TOLERANCE, point.rounding))
    return close and secure_sum.below(float(np.abs(step).max()), STILL_MOVING)


def _check_precision(point: Point, secure_sum: SecureSum) -> None:
    if not secure_sum.below(point.rounding, COARSE):
        raise too_coarse(f"rounding could move an estimate by {point.rounding:.1g} standard errors")


def _where(spec: CoxSpec, chosen: NDArray[np.bool_]) -> list[str]:
    return [name for name, is_chosen in zip(spec.names, chosen, strict=True) if is_chosen]


def _result(
    spec: CoxSpec,
    null: Point,
    point: Point,
    beta: Array,
    scale: Array,
    evaluations: int,
    tests: ProportionalHazards | None,
    warnings: list[str],
) -> CoxResult:
    covariance = np.linalg.inv(point.information) / np.outer(scale, scale)
    coef: Array = beta / scale
    se: Array = np.sqrt(np.diag(covariance))
    margin = float(ndtri(0.975)) * se
    ratio = max(2 * (point.log_likelihood - null.log_likelihood), 0.0)
    return CoxResult(
        names=spec.names,
        coef=coef,
        se=se,
        covariance=covariance,
        hazard_ratio=np.exp(coef),
        z=coef / se,
        p=2 * ndtr(-np.abs(coef / se)),
        lower=np.exp(coef - margin),
        upper=np.exp(coef + margin),
        log_likelihood=point.log_likelihood,
        null_log_likelihood=null.log_likelihood,
        likelihood_ratio=ratio,
        likelihood_ratio_p=float(chdtrc(len(beta), ratio)),
        rows=point.rows,
        events=point.events,
        iterations=evaluations,
        rounding=point.rounding,
        ties=spec.ties,
        strata=tuple(category.column for category in spec.strata),
        proportional_hazards=tests,
        sites=point.sites,
        warnings=(*warnings, *_warnings(spec, point, tests)),
    )


def _warnings(spec: CoxSpec, point: Point, tests: ProportionalHazards | None) -> list[str]:
    found = [
        f"{int(count)} values of {covariate.column} lie outside its declared range "
        f"{covariate.low:g} to {covariate.high:g} and were clipped to it"
        for covariate, count in zip(spec.covariates, point.outside[: len(spec.covariates)], strict=True)
        if count
    ]
    if point.events < FEW_EVENTS * len(spec.covariates):
        found.append(f"only {point.events} events for {len(spec.covariates)} covariates; estimates may be unstable")
    if spec.proportional_hazards and tests is None:
        found.append("events fall on too few grid times for a test of proportional hazards")
    if tests:
        found.extend(
            f"the hazard ratio of {name} probably changes over time (p = {p:.2g}); the estimate is an average"
            for name, p in zip(spec.names, tests.score_p, strict=True)
            if p < NOT_PROPORTIONAL
        )
    return found
