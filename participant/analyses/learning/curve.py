"""Discrimination of two classes by predictions, from secure histograms by class.

The predicted probabilities of the rows of both classes are counted in B bins of [0, 1]. With p_b and n_b rows of
the predicted class and of the other class in bin b, P and N in total, and N_b rows of the other class below bin b:

    sensitivity, specificity     at the edges between the bins: rows above, and at or below
    AUC   = sum of p_b (N_b + n_b / 2) / (P N)            the trapezoidal area, ties by halves
    its bounds: n_b / 2 replaced by 0 and by n_b          they enclose the area of the raw predictions
    SE    by DeLong's structural components, as for tied scores

The area is exact for the binned predictions. Bins of equal width would tell nothing if the outcome is rare and all
predictions are small. So a histogram in equal bins is refined: the next one has its edges where, by linear
interpolation, each bin has the same share of the classes (the mean of p_b / P and n_b / N), on a grid of 2^-20, and
one half is always an edge. This is repeated, up to three times, until no bin has more than twice its share. Edges are
computed in whole numbers, so that every party computes the same ones. With a floor, the first histogram has two bins,
and the others at most as many as leave each site several times the floor of the smaller class.

The score of a support vector machine is binned after applying the logistic function, which preserves the order of rows.

Sources: Hanley, McNeil 1982, Radiology 143:29; DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44:837.
"""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from pydantic import ValidationError

from participant.analyses.base.declared import check_binary, warn_of_other_codes
from participant.analyses.base.errors import NoRowsError, SpecError, beyond_ranges
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.learning.predictor import Predictor
from participant.statistics.evaluation.registry import HISTOGRAM
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Untransformed
from participant.statistics.vocabulary.histogram import BIN_ENDS, HistogramParams, Predicted

GRID = 1 << 20  # grid of the edges: as fine as the probabilities of rare outcomes
REFINEMENTS = 3
ROOM = 4  # rows of the smaller class that a bin should hold at each site, as a multiple of the floor
OPEN = 0.1  # width of the bounds on the area above which a warning says so


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """The histogram. Arrays are (2, B): the other class, then the predicted one.

    Attributes:
        edges: edges between the bins, on the grid.
        counts: rows in each bin.
        sums: sums of the predicted probabilities in each bin.
        sites: names of the contributing sites.
        halved: whether one half is an edge of the bins, also of those that the sites merged.
        warnings: caveats for the reader of the result.
    """

    edges: tuple[int, ...]
    counts: Array
    sums: Array
    halved: bool
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def rows(self) -> int:
        return round(float(self.counts.sum()))

    @property
    def thresholds(self) -> Array:
        """The edges of the bins, including 0 and 1, (B + 1,)."""
        thresholds: Array = np.array([0, *self.edges, GRID]) / GRID
        return thresholds

    @property
    def sensitivity(self) -> Array:
        """Share of the predicted class above each threshold, (B + 1,)."""
        return self._above(1)

    @property
    def specificity(self) -> Array:
        """Share of the other class at or below each threshold, (B + 1,)."""
        return 1 - self._above(0)

    def _above(self, which: int) -> Array:
        counts = self.counts[which]
        above: Array = np.append(counts[::-1].cumsum()[::-1], 0.0) / counts.sum()
        return above

    @property
    def auc(self) -> float:
        return float(self.counts[1] @ self._beaten(0.5) / self.counts[1].sum())

    @property
    def auc_bounds(self) -> tuple[float, float]:
        """Bounds on the area for the raw predictions."""
        least, most = (float(self.counts[1] @ self._beaten(ties) / self.counts[1].sum()) for ties in (0.0, 1.0))
        return least, most

    @property
    def auc_se(self) -> float:
        """Standard error of the area; NaN with one row in a class."""
        positives, negatives = self.counts[1], self.counts[0]
        won = self._beaten(0.5)
        lost = (positives[::-1].cumsum()[::-1] - positives / 2) / positives.sum()
        if min(positives.sum(), negatives.sum()) < 2:
            return float("nan")
        parts = [
            counts @ (share - self.auc) ** 2 / (counts.sum() - 1) / counts.sum()
            for counts, share in ((positives, won), (negatives, lost))
        ]
        return sqrt(sum(parts))

    def _beaten(self, ties: float) -> Array:
        """Share of the other class below a row in each bin, (B,); ties count with the factor `ties`."""
        negatives = self.counts[0]
        beaten: Array = (negatives.cumsum() - negatives + ties * negatives) / negatives.sum()
        return beaten

    @property
    def accuracy(self) -> float:
        """Share of rows whose class is predicted correctly, at one half; NaN if a bin holds both sides."""
        if not self.halved:
            return float("nan")
        half = self.edges.index(GRID // 2) + 1
        return float((self.counts[0, :half].sum() + self.counts[1, half:].sum()) / self.counts.sum())

    def __add__(self, other: "Curve") -> "Curve":
        """Return the curve over the rows of both, which have the same edges."""
        return Curve(
            edges=self.edges,
            counts=self.counts + other.counts,
            sums=self.sums + other.sums,
            halved=self.halved and other.halved,
            sites=other.sites,
            warnings=tuple(dict.fromkeys(self.warnings + other.warnings)),
        )


async def adapted_curve(spec: TableSpec, predictor: Predictor, bins: int, secure_sum: SecureSum) -> Curve:
    """Return the curve of a predictor over the rows of `spec`, with edges adapted to them in up to four rounds.

    A finer curve is not taken if sites hide their rows from it.

    Raises the same errors as `curve_of`.
    """
    first = bins if spec.minimum_persons == 1 else 2  # sites with a floor would hide most of many bins
    edges = tuple(sorted({*(GRID * place // first for place in range(1, first)), GRID // 2}))
    curve = await curve_of(spec, predictor, edges, secure_sum)
    for _ in range(REFINEMENTS):
        if (edges := _refined(curve, _bins(spec, curve, bins))) == curve.edges:
            break
        finer = await curve_of(spec, predictor, edges, secure_sum)
        if finer.rows < curve.rows:
            secure_sum.disregard()
            break
        curve = finer
    return curve


def _bins(spec: TableSpec, curve: Curve, most: int) -> int:
    if spec.minimum_persons == 1:
        return most
    smaller = round(float(curve.counts.sum(axis=1).min()))
    return max(min(smaller // (len(curve.sites) * ROOM * spec.minimum_persons), most), 2)


def _refined(curve: Curve, bins: int) -> tuple[int, ...]:
    """Return edges that give each bin the same share, or those of the curve if no bin has more than twice its share."""
    others, events = ([round(float(one)) for one in row] for row in curve.counts)
    # The mean of both classes' shares, as a whole number: times 2 P N.
    weight = [one * sum(events) + two * sum(others) for one, two in zip(others, events, strict=True)]
    ends = [0, *curve.edges, GRID]
    heavy = [one for one, low, high in zip(weight, ends, ends[1:], strict=False) if high - low > 1]
    total = sum(weight)
    if max(heavy, default=0) * bins <= 2 * total:
        return curve.edges
    edges, below, place = {GRID // 2}, 0, 1
    for one, low, high in zip(weight, ends, ends[1:], strict=False):
        while place < bins and place * total <= (below + one) * bins:
            edges.add(low + max((high - low) * (place * total - below * bins) // (one * bins), 1))
            place += 1
        below += one
    return tuple(sorted(edges - {GRID}))


async def curve_of(spec: TableSpec, predictor: Predictor, edges: tuple[int, ...], secure_sum: SecureSum) -> Curve:
    """Return the curve of a predictor over the rows of `spec` in given bins, in one round. It may lack rows of a class;
    see `complete`.

    Raises:
        SpecError: the predictor is not for two classes, or exceeds the declared ranges.
        CodingError: a binary outcome has other values than 0 and 1.
    """
    if predictor.classes is None:
        raise SpecError("an ROC curve needs an outcome with two classes; this one is numeric")
    try:
        params = HistogramParams(
            quantity=Predicted(
                what="mean",
                family="binomial",
                alpha=0.0,
                design=predictor.design,
                coefficients=tuple(predictor.coefficients.tolist()),
                offset=None,
                outcome=None,
                low=0.0,
                high=1.0,
            ),
            by=(predictor.classes,),
            origin=0.0,
            width=1 / GRID,
            edges=edges,
            sums=True,
            row_limit=spec.row_limit,
        )
    except ValidationError as error:
        raise beyond_ranges(error) from None
    answer = await secure_sum(spec.ask(HISTOGRAM, params, secure_sum.value_bits, complete=predictor.columns))
    values = answer.values
    if predictor.outcome.function == Untransformed():  # otherwise its classes are levels, and other codes are left out
        check_binary(predictor.outcome.column, float(values["counts"][-1].sum()))
    return Curve(
        edges=edges,
        counts=values["counts"][:-1],
        sums=values["sums"][:-1],
        halved=BIN_ENDS not in values or bool(values[BIN_ENDS][params.middle - 1]),
        sites=answer.sites,
        warnings=(
            *spec.warn_of_withheld(values),
            *warn_of_other_codes((predictor.classes,), values["counts"]),
        ),
    )


def complete(curve: Curve, spec: TableSpec) -> Curve:
    """Return the curve if it has rows of both classes, with a warning if its bins leave much of the area open.

    Raises:
        NoRowsError: it lacks rows of a class.
    """
    if not curve.counts.sum(axis=1).all():
        floor = spec.minimum_persons
        hidden = f"; sites hide bins of fewer than {floor} rows, so use fewer bins" if floor > 1 else ""
        raise NoRowsError(f"across all sites, a class has no rows{hidden}")
    least, most = curve.auc_bounds
    if most - least <= OPEN:
        return curve
    wide = f"the bins leave the area of the raw predictions open between {least:.3f} and {most:.3f}; use more bins"
    return replace(curve, warnings=(*curve.warnings, wide))
