"""Risk-set sums of Cox's partial likelihood at given coefficients, including those for Efron's treatment of ties.

With z the covariates of a design without an intercept (p of them), w = exp(beta . z), and on the agreed grid (see
`outcome`) R(k) the rows whose time is k or later and D(k) the rows with an event at k, for the K requested grid times k
in `at` and the T in `tied`, a subset of `at`, over the complete rows:

    rows      = n                                    ()       whole number
    events    = number of rows in D(k), k in `at`    (K,)     whole numbers
    event_sum = sum of z over D(k), all k in `at`    (p,)
    risk0     = sum of w over R(k)                   (K,)
    risk1     = sum of w z over R(k)                 (p, K)
    risk2     = sum of w z z' over R(k)              (q, K)   upper triangle by rows, q = p (p + 1) / 2
    tied0     = sum of w over D(k), k in `tied`      (T,)
    tied1     = sum of w z over D(k)                 (p, T)
    tied2     = sum of w z z' over D(k)              (q, T)
    event_trend = sum over k of trend(k) times sum of z over D(k), if requested; otherwise no entries   (p,)
    heavier   = number of rows with beta . z > limit ()       whole number
    outside   = values outside their range or levels, of each column of the design, then as in `outcome`, (2,)

Strata have separate risk sets. Time k = 0, 1, ... of stratum s = 0, 1, ... (the cells of the categories in `strata`, in
C order) has the number s (grid times + 2) + k in `at` and `tied`, and R and D hold only rows of that stratum;
everything else is unchanged. Without tie sums (`tied` empty), the sums are those of Breslow's treatment of ties.
`event_trend` is for Grambsch and Therneau's test of proportional hazards.

Score and information are computed in `participant.analyses.survival.partial_likelihood`. Grid times without an event
add nothing to the likelihood, and those with one event need no tie sums; so an analysis names in `at` and `tied` only
the times whose sums it needs, and learns no other sums. w has no unit.

Bounds: z lies in the box of its design, so w <= exp(sum over j of the larger of beta_j z_j at the two ends), and a sum
over at most `row_limit` rows follows. With many covariates, that corner of the ranges is far from every patient and the
bound is uselessly wide, so beta . z is also clipped at `log_weight_limit`, and the affected rows are counted in
`heavier`. The sums are the likelihood's only if `heavier` is zero; otherwise the analysis asks again with a higher
limit.

Sources: Efron 1977, J Am Stat Assoc 72:557; Therneau, Grambsch 2000, "Modeling survival data", sections 3.3 and 6.2; Lu
et al. 2015, J Am Med Inform Assoc 22:1212, for sums over sites.
"""

from itertools import pairwise
from math import exp, prod
from typing import Annotated, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, model_validator

from participant.statistics.language.disclosure import Disclosure, Group, Reveals
from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Params, Statistic
from participant.statistics.language.support import Support, binned
from participant.statistics.models.cells import Categories, cell_of, cells_of
from participant.statistics.models.design import INTERCEPT, Design, cross_bounds
from participant.statistics.models.model import check_linear, linear
from participant.statistics.models.outcome import MAX_GRID_TIMES, Outcome

MAX_COVARIATES = 64
MAX_LOG_WEIGHT = 100.0  # far beyond any hazard ratio; keeps the bounds inside the range of a double

Times = tuple[int, ...]


class CoxRiskSetsParams(Params):
    """The parameters of the sums.

    Attributes:
        outcome: time and event columns, and the grid.
        design: design of the p covariates; any centre and scale give the same fit, but pooled means and standard
            deviations make it well conditioned.
        strata: categories whose cells have separate risk sets.
        beta: (p,) coefficients.
        log_weight_limit: limit at which beta . z is clipped.
        at: times of the requested sums, strictly ascending; grid times if there are no strata.
        tied: those times for which sums over the rows with an event are also requested.
        trend: (K,) weights of the times in `event_trend`; empty if not requested.
        event_ends, censored_ends: grid times at which merged intervals end, for rows with an event and for censored
            ones (`merging`); a row's time is then the end of its interval. Empty if the grid's own intervals count.
    """

    outcome: Outcome
    design: Design
    strata: Categories
    beta: Annotated[tuple[FiniteFloat, ...], FROM_SUMS]
    log_weight_limit: Annotated[float, Field(ge=-MAX_LOG_WEIGHT, le=MAX_LOG_WEIGHT), FROM_SUMS]
    at: Annotated[Times, Field(min_length=1, max_length=MAX_GRID_TIMES)]
    tied: Annotated[Times, Field(max_length=MAX_GRID_TIMES)]
    trend: Annotated[tuple[FiniteFloat, ...], FROM_SUMS]
    event_ends: Annotated[Times, Field(max_length=MAX_GRID_TIMES + 1)]
    censored_ends: Annotated[Times, Field(max_length=MAX_GRID_TIMES + 1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_linear(self.design, self.beta)
        if len(self.beta) > MAX_COVARIATES or INTERCEPT in self.design.terms:
            raise ValueError(f"the design must have 1 to {MAX_COVARIATES} covariates and no intercept")
        for times in (self.at, self.tied, self.event_ends, self.censored_ends):
            if any(first >= second for first, second in pairwise(times)):
                raise ValueError("grid times must ascend")
        for time in self.at:
            stratum, grid_time = divmod(time, self.stride)
            if not 0 <= stratum < prod(cells_of(self.strata)) or grid_time > self.outcome.grid.count:
                raise ValueError("a time is not on the grid")
        if self.event_ends and not {time % self.stride for time in self.at} <= set(self.event_ends):
            raise ValueError("the times in `at` must be ends of merged intervals")
        if not set(self.tied) <= set(self.at):
            raise ValueError("the times in `tied` must also be in `at`")
        if len(self.trend) not in {0, len(self.at)}:
            raise ValueError("the trend must have one weight for each time, or none at all")
        return self

    @property
    def stride(self) -> int:
        """Difference between the numbers of the same grid time in consecutive strata. The last number of each stratum
        stands for times beyond the grid.
        """
        return self.outcome.grid.count + 2

    @property
    def log_weight_bound(self) -> float:
        """The largest beta . z inside the declared ranges, clipped at the limit."""
        return min(self.log_weight_limit, self.design.linear_bounds(np.array(self.beta))[1])

    def weights(self, log_weight: Array) -> Array:
        """Return the weights w of rows with these linear predictors, (rows,)."""
        return np.exp(np.minimum(log_weight, self.log_weight_limit))


class CoxRiskSets(Statistic[CoxRiskSetsParams]):
    """Risk-set sums; the module's docstring describes the blocks."""

    name = "cox-risk-sets"
    version = 3
    Params = CoxRiskSetsParams

    def columns(self, params: CoxRiskSetsParams) -> tuple[str, ...]:
        strata = (category.column for category in params.strata)
        return tuple(dict.fromkeys((params.outcome.time, params.outcome.event, *params.design.columns, *strata)))

    def layout(self, params: CoxRiskSetsParams) -> Layout:
        reach, limit = params.design.reach, float(params.row_limit)
        p, weight = len(reach), limit * exp(params.log_weight_bound)
        with np.errstate(over="ignore"):  # a layout refuses infinite bounds
            first, second = tuple((weight * reach).tolist()), cross_bounds(reach, weight)
            steepest = max((abs(g) for g in params.trend), default=0.0) or 1.0
            trend = tuple((limit * steepest * reach).tolist())
        at, tied = len(params.at), len(params.tied)
        return Layout(
            (
                Block("rows", (), limit, exact=True),
                Block("events", (at,), limit, exact=True),
                Block("event_sum", (p,), tuple((limit * reach).tolist())),
                Block("risk0", (at,), weight),
                Block("risk1", (p, at), first),
                Block("risk2", (len(second), at), second),
                Block("tied0", (tied,), weight),
                Block("tied1", (p, tied), first),
                Block("tied2", (len(second), tied), second),
                Block("event_trend", (p if params.trend else 0,), trend if params.trend else 1.0),
                Block("heavier", (), limit, exact=True, few="some"),
                Block("outside", (len(params.design.columns) + 2,), limit, exact=True, few="rounded"),
            )
        )

    def compute(self, params: CoxRiskSetsParams, columns: Columns) -> Arrays:
        coded = params.design.coded(columns)
        z = coded.z
        log_weight = linear(params.beta, z)
        w = params.weights(log_weight)
        time, event, in_risk_sets, odd = _placed(params, columns)
        at = np.array(params.at)
        stratum_at = at // params.stride
        slot, asked = _slots(at, time)
        tied_slot, tied = _slots(np.array(params.tied, np.int64), time)
        asked, tied = asked & event, tied & event
        risk0, risk1, risk2 = _weighted_sums(z, w, in_risk_sets, len(at) + 1)
        tied0, tied1, tied2 = _weighted_sums(z[:, tied], w[tied], tied_slot[tied], len(params.tied))
        return {
            "rows": np.array(len(w), np.float64),
            "events": np.bincount(slot[asked], minlength=len(at)).astype(np.float64),
            "event_sum": z[:, asked].sum(axis=1),
            "risk0": _from_then_on(risk0, stratum_at),
            "risk1": _from_then_on(risk1, stratum_at),
            "risk2": _from_then_on(risk2, stratum_at),
            "tied0": tied0,
            "tied1": tied1,
            "tied2": tied2,
            "event_trend": z[:, asked] @ np.array(params.trend)[slot[asked]] if params.trend else np.zeros(0),
            "heavier": np.array(np.count_nonzero(log_weight > params.log_weight_limit), np.float64),
            "outside": np.concatenate([params.design.count_outside(coded), odd]),
        }

    def support(self, params: CoxRiskSetsParams, columns: Columns) -> Support:
        """Return the rows that leave between two requested times, those with an event at one, and their contributions:
        the differences of risk sets.
        """
        w = params.weights(linear(params.beta, params.design.coded(columns).z))
        raw = params.design.raw(columns)
        time, event, in_risk_sets, _ = _placed(params, columns)
        slot, asked = _slots(np.array(params.at), time)
        asked = asked & event
        at = len(params.at)
        events = np.bincount(slot[asked], minlength=at)
        others = np.bincount(in_risk_sets[~asked], minlength=at + 1)
        sizes = w * np.concatenate([np.ones((1, len(w))), raw, raw * raw])
        with_event = binned(slot[asked], at, sizes[:, asked])
        return (
            binned(in_risk_sets, at + 1, sizes)
            .beside(with_event)
            ._replace(persons=np.concatenate([events, others]).astype(np.float64))
        )

    def pooled_support(self, params: CoxRiskSetsParams, columns: Columns) -> Support:
        """Return the rows of each interval, as for `support`, and what the covariates set apart among all rows.

        An interval's sums are those of at least as many persons as the floor, like the moments of a cell. How its
        persons differ in a covariate is not judged: among five of them, one may be the only woman. Of all rows, one may
        make up most of the sum of a covariate's weighted squares, but not of the covariate's own.
        """
        every = self.supported(params, columns).persons
        w = params.weights(linear(params.beta, params.design.coded(columns).z))
        raw = params.design.raw(columns)
        sizes = w * np.concatenate([np.ones((1, len(w))), raw])
        return Support(every, *Support.none()[1:]).beside(Support.of(params.design.groups(columns), sizes))

    def disclosure(self, params: CoxRiskSetsParams) -> Disclosure:
        width = params.outcome.grid.width
        names = ", ".join(params.design.names)
        return Disclosure(
            tells=(
                f"Sums of {names} over the patients of all sites who are still at risk, at each of {len(params.at)} "
                f"grid times, and at {len(params.tied)} of them also over the patients with an event in that interval "
                f"of {width:g} (units of {params.outcome.time}), but never from which site. These groups can be small. "
                "Two neighbouring risk sets differ by the patients who left in between, and if only one left in all "
                "sites, dividing the differences of the sums gives that patient's values of these columns. If an "
                "interval in the tie sums holds one event across all sites, they give that patient's values directly "
                "(z = tied1 / tied0). Strata make all these groups smaller. "
                "A site cannot see how many patients the other sites add, nor whether the "
                "coordinator asks only for ties; groups of a few patients can also be resolved if several rounds "
                "ask for the same group with other coefficients. A coarser grid makes larger groups."
            ),
            groups=(
                Group(
                    blocks=("rows", "event_sum", "event_trend", "heavier", "outside"),
                    people="all complete rows that meet the filter, or those with an event",
                    reveals=Reveals.VALUES,
                    one_person=True,
                ),
                Group(
                    blocks=("risk0", "risk1", "risk2"),
                    people="rows that left between two neighbouring requested grid times (difference of two risk sets)",
                    reveals=Reveals.VALUES,
                    one_person=True,
                    resolution=width,
                ),
                Group(
                    blocks=("events", "tied0", "tied1", "tied2"),
                    people="rows with an event in one interval of the grid",
                    reveals=Reveals.VALUES,
                    one_person=True,
                    resolution=width,
                ),
            ),
            minimum_rows=10,
        )


class _Placed(NamedTuple):
    """Rows among the risk sets.

    Attributes:
        time: (rows,) number of the row's time, its stratum included.
        event: (rows,) bool, whether the row has an event on the grid.
        in_risk_sets: (rows,) position, from 1 on, of the last requested time at which the row is at risk; 0 for none.
        outside: invalid values, as in `outcome`.
    """

    time: NDArray[np.int64]
    event: NDArray[np.bool_]
    in_risk_sets: NDArray[np.intp]
    outside: Array


def _placed(params: CoxRiskSetsParams, columns: Columns) -> _Placed:
    grid_time, event, outside = params.outcome.observe(columns)
    for some, ends in ((event, params.event_ends), (~event, params.censored_ends)):
        if ends:
            later = np.append(ends, params.outcome.grid.count + 1)
            grid_time[some] = later[np.searchsorted(ends, grid_time[some])]
    stratum = cell_of(params.strata, columns)
    time = stratum * params.stride + grid_time
    at = np.array(params.at)
    # Within its stratum, a row belongs to the risk sets of all times up to its own.
    in_risk_sets = np.searchsorted(at, time, side="right")
    in_risk_sets[np.append(-1, at // params.stride)[in_risk_sets] != stratum] = 0
    return _Placed(time, event, in_risk_sets, outside)


def _slots(times: NDArray[np.int64], time: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the position of each row's time among `times`, and whether `times` contains it."""
    return np.searchsorted(times, time), np.isin(time, times)


def _weighted_sums(z: Array, w: Array, slot: NDArray[np.int64], slots: int) -> tuple[Array, Array, Array]:
    """Return the sums of w, (slots,), of w z, (p, slots), and of w z z', (q, slots), over the rows of each slot."""

    def binned(weights: Array) -> Array:
        return np.bincount(slot, weights, minlength=slots).astype(np.float64)

    def stacked(parts: list[Array]) -> Array:
        return np.array(parts).reshape(len(parts), slots)

    first = [binned(w * row) for row in z]
    second = [binned(w * z[row] * z[column]) for row, column in zip(*np.triu_indices(len(z)), strict=True)]
    return binned(w), stacked(first), stacked(second)


def _from_then_on(sums: Array, stratum: NDArray[np.int64]) -> Array:
    """Return each risk set's sum, over the rows of its stratum that are in at least as many; slot 0 is in none."""
    result = np.empty(sums[..., 1:].shape)
    for one in np.unique(stratum):
        its = stratum == one
        result[..., its] = np.cumsum(sums[..., 1:][..., its][..., ::-1], axis=-1)[..., ::-1]
    return result
