"""Risk-set sums of Cox's partial likelihood at given coefficients, with what Efron's treatment of ties needs.

With z = (x - centre) / scale, w = exp(beta . z), and on the agreed grid (see `outcome`) R(k) the rows whose time is k
or later and D(k) the rows with an event at k, for the asked grid times k in `at` (K of them) and in `tied` (T of them,
all of `at`), over the complete rows:

    rows      = n                                    ()       whole number
    events    = number of rows in D(k), k in `at`    (K,)     whole numbers
    event_sum = sum of z over D(k), all k in `at`    (p,)
    risk0     = sum of w over R(k)                   (K,)
    risk1     = sum of w z over R(k)                 (p, K)
    risk2     = sum of w z z' over R(k)              (q, K)   upper triangle by rows, q = p (p + 1) / 2
    tied0     = sum of w over D(k), k in `tied`      (T,)
    tied1     = sum of w z over D(k)                 (p, T)
    tied2     = sum of w z z' over D(k)              (q, T)
    heavier   = number of rows with beta . z > limit ()       whole number
    outside   = values moved to their range, (p,), then as in `outcome`, (2,); whole numbers

Score and information follow by `coordinator.analyses.partial_likelihood`. The grid times without an event add nothing
to the likelihood, and those with one event need no tie sums; so an analysis names in `at` and `tied` the times where it
needs the sums, and learns no others. z, w and beta have no units.

Bounds: z lies between the standardised ends of the declared ranges, so w <= exp(sum over j of the larger of
beta_j z_j at the two ends), and a sum over at most `row_limit` rows follows. With many covariates that corner of the
ranges is far from every patient and the bound uselessly wide; so beta . z is also cut at `log_weight_limit`, and the
rows where that happened are counted in `heavier`. A sum is the likelihood's only if `heavier` is zero; otherwise the
analysis asks again with a higher limit.

Sources: Efron 1977, J Am Stat Assoc 72:557; Therneau, Grambsch 2000, "Modeling survival data", section 3.3; Lu et al.
2015, J Am Med Inform Assoc 22:1212, for the sums over sites.
"""

from itertools import pairwise
from math import exp
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, FiniteFloat, PositiveFloat, model_validator

from participant.statistics.disclosure import Disclosure, Group, Reveals
from participant.statistics.layout import Array, Arrays, Block, Layout
from participant.statistics.outcome import MAX_GRID_TIMES, Outcome
from participant.statistics.statistic import Columns, Params, Statistic
from participant.statistics.variables import Variable, bounded, distinct

MAX_VARIABLES = 64
MAX_LOG_WEIGHT = 100.0  # far beyond any hazard ratio; keeps the bounds inside the range of a double
MAX_LINEAR = 1e6  # keeps beta . z itself finite, whatever the row

Times = tuple[int, ...]


class CoxRiskSetsParams(Params):
    """What the sums depend on.

    Attributes:
        outcome: time and event columns, and the grid.
        variables: the p covariates with their declared ranges.
        centre, scale: (p,) by which covariates are standardised, in their units; any numbers give the same fit, the
            pooled means and standard deviations give a well-conditioned one.
        beta: (p,) coefficients of the standardised covariates.
        log_weight_limit: where beta . z is cut.
        at: grid times at which sums are asked, strictly ascending.
        tied: those of them for which sums over the rows with an event are asked as well.
    """

    outcome: Outcome
    variables: Annotated[tuple[Variable, ...], Field(min_length=1, max_length=MAX_VARIABLES), AfterValidator(distinct)]
    centre: tuple[FiniteFloat, ...]
    scale: tuple[Annotated[PositiveFloat, Field(allow_inf_nan=False)], ...]
    beta: tuple[FiniteFloat, ...]
    log_weight_limit: Annotated[float, Field(ge=-MAX_LOG_WEIGHT, le=MAX_LOG_WEIGHT)]
    at: Annotated[Times, Field(min_length=1, max_length=MAX_GRID_TIMES)]
    tied: Annotated[Times, Field(max_length=MAX_GRID_TIMES)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if {len(self.centre), len(self.scale), len(self.beta)} != {len(self.variables)}:
            raise ValueError("centre, scale and beta have one entry for each variable")
        for times in (self.at, self.tied):
            if any(first >= second for first, second in pairwise(times)):
                raise ValueError("grid times ascend")
        if self.at[0] < 1 or self.at[-1] > self.outcome.grid.count:
            raise ValueError("a time is not on the grid")
        if not set(self.tied) <= set(self.at):
            raise ValueError("the times in `tied` are also in `at`")
        with np.errstate(over="ignore", invalid="ignore"):  # zero times infinity is NaN, and refused like infinity
            linear = np.abs(self.beta) @ self.reach
        if not linear <= MAX_LINEAR:
            raise ValueError(f"beta . z could exceed {MAX_LINEAR:g} inside the declared ranges")
        return self

    @property
    def box(self) -> tuple[Array, Array]:
        """Least and largest standardised value of each variable, (p,) each."""
        centre, scale = np.array(self.centre), np.array(self.scale)
        low = np.array([variable.low for variable in self.variables])
        high = np.array([variable.high for variable in self.variables])
        with np.errstate(over="ignore"):  # what becomes infinite here makes a bound that is refused
            return (low - centre) / scale, (high - centre) / scale

    @property
    def reach(self) -> Array:
        """Largest absolute standardised value of each variable, (p,)."""
        low, high = self.box
        return np.maximum(np.abs(low), np.abs(high))

    @property
    def log_weight_bound(self) -> float:
        """The largest beta . z inside the declared ranges, cut at the limit."""
        beta, (low, high) = np.array(self.beta), self.box
        return min(self.log_weight_limit, float(np.maximum(beta * low, beta * high).sum()))


class CoxRiskSets(Statistic[CoxRiskSetsParams]):
    """Blocks as the module says."""

    name = "cox-risk-sets"
    version = 1
    Params = CoxRiskSetsParams

    def columns(self, params: CoxRiskSetsParams) -> tuple[str, ...]:
        return (
            params.outcome.time,
            params.outcome.event,
            *(variable.column for variable in params.variables),
        )

    def layout(self, params: CoxRiskSetsParams) -> Layout:
        p, limit = len(params.variables), float(params.row_limit)
        reach = params.reach
        rows, columns = np.triu_indices(p)
        weight = limit * exp(params.log_weight_bound)
        with np.errstate(over="ignore"):  # a layout refuses infinite bounds
            first = tuple((weight * reach).tolist())
            second = tuple((weight * reach[rows] * reach[columns]).tolist())
        at, tied = len(params.at), len(params.tied)
        return Layout(
            (
                Block("rows", (), limit, exact=True),
                Block("events", (at,), limit, exact=True),
                Block("event_sum", (p,), tuple((limit * reach).tolist())),
                Block("risk0", (at,), weight),
                Block("risk1", (p, at), first),
                Block("risk2", (len(rows), at), second),
                Block("tied0", (tied,), weight),
                Block("tied1", (p, tied), first),
                Block("tied2", (len(rows), tied), second),
                Block("heavier", (), limit, exact=True),
                Block("outside", (p + 2,), limit, exact=True),
            )
        )

    def compute(self, params: CoxRiskSetsParams, columns: Columns) -> Arrays:
        values, moved = bounded(params.variables, columns)
        z = (values - np.array(params.centre)[:, np.newaxis]) / np.array(params.scale)[:, np.newaxis]
        log_weight = np.array(params.beta) @ z
        w = np.exp(np.minimum(log_weight, params.log_weight_limit))
        grid_time, event, odd = params.outcome.observe(columns)
        at = np.array(params.at)
        in_risk_sets = np.searchsorted(at, grid_time, side="right")  # a row is in the first so many of the risk sets
        slot, asked = _slots(at, grid_time)
        tied_slot, tied = _slots(np.array(params.tied, np.int64), grid_time)
        asked, tied = asked & event, tied & event
        risk0, risk1, risk2 = _weighted_sums(z, w, in_risk_sets, len(at) + 1)
        tied0, tied1, tied2 = _weighted_sums(z[:, tied], w[tied], tied_slot[tied], len(params.tied))
        return {
            "rows": np.array(len(w), np.float64),
            "events": np.bincount(slot[asked], minlength=len(at)).astype(np.float64),
            "event_sum": z[:, asked].sum(axis=1),
            "risk0": _from_then_on(risk0),
            "risk1": _from_then_on(risk1),
            "risk2": _from_then_on(risk2),
            "tied0": tied0,
            "tied1": tied1,
            "tied2": tied2,
            "heavier": np.array(np.count_nonzero(log_weight > params.log_weight_limit), np.float64),
            "outside": np.concatenate([moved, odd]),
        }

    def disclosure(self, params: CoxRiskSetsParams) -> Disclosure:
        width = params.outcome.grid.width
        names = ", ".join(variable.column for variable in params.variables)
        return Disclosure(
            tells=(
                f"Sums of {names} over the patients of all sites who are still at risk, at each of {len(params.at)} "
                f"grid times, and at {len(params.tied)} of them also over the patients with an event in that interval "
                f"of {width:g} (units of {params.outcome.time}); never from which site. These groups can be small. "
                "Two neighbouring risk sets differ by the patients who left in between, and if only one left over all "
                "sites, dividing the differences of the sums gives that patient's values of these columns. If an "
                "interval in the tie sums holds one event over all sites, they give that patient's values directly "
                "(z = tied1 / tied0). A site cannot see from here how many the other sites add, nor whether the "
                "coordinator asks for ties alone; groups of a few patients can be told apart too, when several rounds "
                "ask for the same group with other coefficients. A coarser grid makes larger groups."
            ),
            groups=(
                Group(
                    blocks=("rows", "event_sum", "heavier", "outside"),
                    people="all complete rows that meet the filter, or those with an event",
                    reveals=Reveals.VALUES,
                    one_person=True,
                ),
                Group(
                    blocks=("risk0", "risk1", "risk2"),
                    people="rows that left between two neighbouring asked grid times (difference of two risk sets)",
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


def _slots(times: NDArray[np.int64], grid_time: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the position of each row's grid time among `times`, and whether it is one of them."""
    return np.searchsorted(times, grid_time), np.isin(grid_time, times)


def _weighted_sums(z: Array, w: Array, slot: NDArray[np.int64], slots: int) -> tuple[Array, Array, Array]:
    """Return the sums of w, (slots,), of w z, (p, slots), and of w z z', (q, slots), over the rows of each slot."""

    def binned(weights: Array) -> Array:
        return np.bincount(slot, weights, minlength=slots).astype(np.float64)

    def stacked(parts: list[Array]) -> Array:
        return np.array(parts).reshape(len(parts), slots)

    first = [binned(w * row) for row in z]
    second = [binned(w * z[row] * z[column]) for row, column in zip(*np.triu_indices(len(z)), strict=True)]
    return binned(w), stacked(first), stacked(second)


def _from_then_on(sums: Array) -> Array:
    """Return, for each risk set, the sum over the rows in so many risk sets or more; slot 0 is in none."""
    result: Array = np.cumsum(sums[..., :0:-1], axis=-1)[..., ::-1]
    return result
