"""k-means on the rows of all sites: Lloyd's algorithm on secure sums, with initial centres that reveal no row.

Each row belongs to the nearest of k centres; a step moves every centre to the mean of its rows
(`participant.statistics.vocabulary.kmeans`). From the same centres, the steps are therefore those of one pooled table.
Variables are first scaled by the pooled mean and standard deviation, unless `standardise` is false.

Default initial centres: the algorithm runs with one centre, the mean of all rows. Then, until there are k, the centre
with the largest sum of squared distances is split in two, along a direction determined by `seed`, by half of its root
mean squared distance, and the algorithm runs again (Linde, Buzo and Gray's splitting). Unlike k-means++, it needs only
sums, and no row becomes a centre. Of several `starts`, the one with the lowest inertia is kept.

A centre without rows takes half of the centre with the largest sum of squared distances, split in the same way. If this
continues, or all distances are 0, there are fewer than k distinct rows, and the analysis fails.

Convergence: no centre moves by more than 1e-9 in any scaled variable, or by the possible effect of rounding; while
centres are still being split, the limit is 1e-2. After `steps` steps the algorithm stops as it is, with a warning. If a
site is lost, it starts over with the remaining rows. Rounds: about ten for each centre.

Disclosure: rows and means of the clusters, at every step; a site hides clusters in which it has fewer than
`minimum_persons` rows. The centres in a query come from sums, never from a row.

    analysis = "k-means"
    dataset = "lung"
    variables = [{column = "age", low = 18, high = 100}, {column = "wt.loss", low = -50, high = 100}]
    clusters = 2
    row_limit = 1000

Sources: Lloyd 1982, IEEE Trans Inf Theory 28:129; Linde, Buzo, Gray 1980, IEEE Trans Commun 28:84, for splitting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.declared import warn_of_outside
from participant.analyses.base.errors import EmptyClusterError, NoRowsError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.registry import K_MEANS, MOMENTS
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Numeric
from participant.statistics.models.variables import Variable, distinct
from participant.statistics.vocabulary.kmeans import MAX_CENTRES, MAX_VARIABLES, KMeansParams
from participant.statistics.vocabulary.moments import MomentsParams

TOLERANCE = 1e-9
ROUGH = 1e-2  # largest last move while centres are still being split
MAX_RESCUES = 10
FLAT = 1e-12  # largest variance of a constant, relative to the square of half the declared range


class KMeansSpec(TableSpec):
    """A clustering.

    Attributes:
        variables: numeric variables with their ranges.
        clusters: number of clusters k.
        standardise: whether to scale by the pooled mean and standard deviation; a constant variable keeps its scale.
        centres: initial centres in the variables' units, or None.
        starts: number of sets of initial centres, each with its own directions.
        seed: seed of the directions.
        steps: maximum number of steps for each number of centres.
    """

    analysis: Literal["k-means"] = "k-means"
    variables: Annotated[tuple[Variable, ...], Field(min_length=1, max_length=MAX_VARIABLES)]
    clusters: int = Field(ge=1, le=MAX_CENTRES)
    standardise: bool = True
    centres: tuple[tuple[FiniteFloat, ...], ...] | None = None
    starts: int = Field(default=1, ge=1, le=100)
    seed: int = Field(default=0, ge=0, lt=1 << 32)
    steps: int = Field(default=100, ge=1, le=10_000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        distinct(self.variables)
        if self.centres is not None:
            if [len(centre) for centre in self.centres] != [len(self.variables)] * self.clusters:
                raise ValueError("give one centre for each cluster, with one coordinate for each variable")
            if self.starts > 1:
                raise ValueError("when initial centres are given, the number of starts must be 1")
        return self

    async def analyse(self, secure_sum: SecureSum) -> "KMeansResult":
        """Run the analysis; raises the same errors as `cluster`."""
        return await over_one_cohort(partial(cluster, self), secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KMeansResult(AnalysisResult):
    """The clusters, largest first.

    Attributes:
        variables: names of the variables.
        centres: (k, p) centres in the variables' units.
        counts: (k,) number of rows of each cluster.
        within: (k,) sums of squared distances to the centre, in scaled variables.
        inertia: sum of `within`, the objective.
        explained: share of the total sum of squares that the clusters explain.
        scale: (p,) divisors of the variables.
        rows: number of rows across all sites.
        steps: number of steps of the algorithm, over all starts.
        sites: names of the sites that contributed to the last step.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "k-means"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "rows": "d", "variable": "", "centre": ".6g"}

    variables: tuple[str, ...]
    centres: Array
    counts: Array
    within: Array
    inertia: float
    explained: float | None
    scale: Array
    rows: int
    steps: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each variable of each cluster."""
        return [
            {
                "name": f"cluster {number}",
                "rows": round(float(self.counts[number - 1])),
                "variable": variable,
                "centre": float(self.centres[number - 1, j]),
            }
            for number in range(1, len(self.counts) + 1)
            for j, variable in enumerate(self.variables)
        ]

    @property
    def title(self) -> str:
        return "k-means"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Clusters": len(self.counts),
            "Inertia": self.inertia,
            "Explained": self.explained,
            "Steps": self.steps,
        }


class _Scaled(NamedTuple):
    """The scaled variables, and the rows' total sum of squares."""

    variables: tuple[Numeric, ...]
    total: float


class _State(NamedTuple):
    """The queried centres, (k, p), in scaled variables, and the sums at these centres."""

    centres: Array
    answer: Sum

    @property
    def counts(self) -> Array:
        return self.answer.values["counts"]

    @property
    def means(self) -> Array:
        """Mean of the rows of each centre, (k, p); the centre itself if it has no rows."""
        counts = self.counts[:, np.newaxis]
        means: Array = np.where(counts > 0, self.answer.values["sums"].T / np.maximum(counts, 1), self.centres)
        return means

    @property
    def within(self) -> Array:
        """Sum of squared distances of the rows of each centre to their mean, (k,)."""
        moved = np.square(self.means - self.centres).sum(axis=1)
        within: Array = np.maximum(self.answer.values["distance"] - self.counts * moved, 0.0)
        return within


async def cluster(spec: KMeansSpec, secure_sum: SecureSum) -> KMeansResult:
    """Cluster the rows that `spec` describes.

    Raises:
        NoRowsError: across all sites, no row meets the filter and has all values.
        EmptyClusterError: there are fewer distinct rows than clusters.
    """
    lloyd = _Lloyd(spec, await _scaled(spec, secure_sum), secure_sum)
    states = []
    for start in range(spec.starts):
        draw = np.random.default_rng((spec.seed, start))  # noqa: TID251 - directions are public
        if spec.centres is not None:
            state = await lloyd.run(lloyd.in_scale(np.array(spec.centres)), TOLERANCE, draw)
        else:
            state = await lloyd.run(np.zeros((1, len(spec.variables))), TOLERANCE, draw)
            for k in range(2, spec.clusters + 1):
                rough = TOLERANCE if k == spec.clusters else ROUGH
                state = await lloyd.run(lloyd.split(state, draw), rough, draw)
        states.append(state)
    best = min(states, key=lambda one: float(one.within.sum()))
    return _result(spec, lloyd, best)


class _Lloyd:
    """Steps of the algorithm, each a secure sum."""

    def __init__(self, spec: KMeansSpec, scaled: _Scaled, secure_sum: SecureSum) -> None:
        self._spec = spec
        self._secure_sum = secure_sum
        self.variables, self.total = scaled
        self.steps = 0
        self.has_settled = True

    def in_scale(self, centres: Array) -> Array:
        """Return centres on the scale of the clustering."""
        scaled: Array = (centres - [one.centre for one in self.variables]) / [one.scale for one in self.variables]
        return scaled

    def in_units(self, centres: Array) -> Array:
        """Return centres in the variables' units."""
        units: Array = centres * [one.scale for one in self.variables] + [one.centre for one in self.variables]
        return units

    async def run(self, centres: Array, tolerance: float, draw: np.random.Generator) -> _State:  # noqa: TID251
        """Move the centres until they converge; the last sums belong to the converged centres."""
        rescues = 0
        for _ in range(self._spec.steps):
            state, rounding = await self._ask(centres)
            if not state.counts.all():
                rescues += 1
                centres = self._rescued(state, rescues, draw)
                continue
            moved = np.abs(state.means - centres)
            excess = float((moved / np.maximum(tolerance, rounding)).max())
            if self._secure_sum.below(excess, 1.0):
                self.has_settled = True
                return state
            centres = state.means
        self.has_settled = False
        return state

    async def _ask(self, centres: Array) -> tuple[_State, Array]:
        """Return the sums at centres, and the effect of rounding on the means, (k, p)."""
        self.steps += 1
        params = KMeansParams(
            variables=self.variables, centres=tuple(map(tuple, centres.tolist())), row_limit=self._spec.row_limit
        )
        query = self._spec.ask(K_MEANS, params, self._secure_sum.value_bits)
        answer = await self._secure_sum(query)
        if not answer.values["counts"].any():
            raise NoRowsError("across all sites, no row meets the filter and has all values")
        half = len(answer.sites) / 2 * query.steps["sums"]
        return _State(centres, answer), (half / np.maximum(answer.values["counts"], 1)).T

    def _largest(self, state: _State) -> int:
        """Return the index of the cluster with the largest sum of squared distances."""
        within, largest = state.within.tolist(), 0
        for place in range(1, len(within)):
            if not self._secure_sum.below(within[place], within[largest]):
                largest = place
        return largest

    def split(self, state: _State, draw: np.random.Generator) -> Array:  # noqa: TID251
        """Return the centres with one more: the one with the largest sum of squared distances becomes two."""
        largest = self._largest(state)
        apart = self._apart(state, largest, draw)
        before, (centre, *after) = state.means[:largest], state.means[largest:]
        return np.vstack([*before, centre - apart, centre + apart, *after])

    def _rescued(self, state: _State, rescues: int, draw: np.random.Generator) -> Array:  # noqa: TID251
        """Return the centres, with the first empty one moved next to the one with the largest distances."""
        empty, largest = int(state.counts.argmin()), self._largest(state)
        if rescues > MAX_RESCUES:
            raise _too_few(state)
        apart = self._apart(state, largest, draw)
        centres = state.means
        centres[empty] = centres[largest] + apart
        centres[largest] = centres[largest] - apart
        return centres

    def _apart(self, state: _State, which: int, draw: np.random.Generator) -> Array:  # noqa: TID251
        """Return half of a cluster's root mean squared distance, in a random direction, (p,)."""
        square = float(state.within[which] / max(state.counts[which], 1))
        reach = np.array([max(map(abs, one.bounds)) for one in self.variables])
        if self._secure_sum.below(square, FLAT * float(np.square(reach).max())):
            raise _too_few(state)
        direction = draw.normal(size=len(self.variables))
        apart: Array = np.sqrt(square) / 2 * direction / np.linalg.norm(direction)
        return apart


def _too_few(state: _State) -> EmptyClusterError:
    with_rows = np.count_nonzero(state.counts)
    return EmptyClusterError(
        f"only {with_rows} centres have rows, wherever they are placed, as the rows across all sites form no more "
        "clusters; use fewer"
    )


async def _scaled(spec: KMeansSpec, secure_sum: SecureSum) -> _Scaled:
    """Return the variables as they are clustered."""
    params = MomentsParams(variables=spec.variables, row_limit=spec.row_limit)
    sums = (await secure_sum(spec.ask(MOMENTS, params, secure_sum.value_bits))).values
    if sums["rows"] < 1:
        raise NoRowsError("across all sites, no row meets the filter and has all values")
    mean = sums["sums"] / sums["rows"]
    variance = sums["squares"] / sums["rows"] - mean**2
    half = np.array([(one.high - one.low) / 2 for one in spec.variables])
    scales = np.sqrt(np.where(spec.standardise & (variance > FLAT * half**2), variance, 1.0))
    variables = tuple(
        Numeric(**one.model_dump(), centre=centre, scale=scale)
        for one, centre, scale in zip(spec.variables, (params.middles + mean).tolist(), scales.tolist(), strict=True)
    )
    return _Scaled(variables, float(sums["rows"] * (variance / scales**2).sum()))


def _result(spec: KMeansSpec, lloyd: _Lloyd, state: _State) -> KMeansResult:
    values, order = state.answer.values, np.argsort(-state.counts, kind="stable")
    inertia = float(state.within.sum())
    unsettled = [] if lloyd.has_settled else [f"the centres still move after {spec.steps} steps"]
    return KMeansResult(
        variables=tuple(one.column for one in spec.variables),
        centres=lloyd.in_units(state.means)[order],
        counts=state.counts[order],
        within=state.within[order],
        inertia=inertia,
        explained=1 - inertia / lloyd.total if lloyd.total else None,
        scale=np.array([one.scale for one in lloyd.variables]),
        rows=round(float(state.counts.sum())),
        steps=lloyd.steps,
        sites=state.answer.sites,
        warnings=(
            *spec.warn_of_withheld(values),
            *warn_of_outside((one.column for one in spec.variables), values["outside"]),
            *unsettled,
        ),
    )
