"""Weighted means: a site sends [w x, w], and the sums give sum(w x) / sum(w).

Spec: 02-protocol §4. Nobody learns a site's weight, only the sum of all weights. A weight has a cap, since one site
with a huge weight would make the mean its own value; a heavier site's weight is cut to the cap, in both w x and w, so
that the result is still a mean. Both segments refuse values beyond their limit: w x beyond cap * clip, w beyond cap. (A
rotated entry may be larger than any original entry; it is moved to the clip and counted.)

With n sites, W the sum of their weights, s and s_w the steps of the two segments, and rounding to nearest, an entry m
of the mean is off by at most n (s + |m| s_w) / (2 W - n s_w). Integer weights, such as numbers of rows, are summed
exactly if the cap is at most 2^(value_bits - 1) - 1.
"""

from dataclasses import dataclass
from math import frexp, isfinite, ldexp
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg.errors import ParameterError
from secagg.params import Beyond, Rounding, Segment
from secagg.quantize import as_reals, vector_of

Reals = NDArray[np.float64]


class Weighted(NamedTuple):
    """A site's contribution, (m + 1,) float64, and the number of its values that were moved to the clip."""

    vector: Reals
    clipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedMean:
    """The terms of a weighted mean.

    Attributes:
        clip: the largest |x|.
        cap: the largest weight.
        value_bits: 2 to 62; a product or weight takes one of at most 2^value_bits - 1 levels.
    """

    clip: float
    cap: float
    value_bits: int = 20

    def __post_init__(self) -> None:
        if not 2 <= self.value_bits <= 62:
            raise ParameterError("value_bits must be 2 to 62")
        if not (self.clip > 0 and self.cap > 0 and isfinite(self.clip * self.cap)):
            raise ParameterError("clip, cap and their product must be positive and finite")

    def segments(
        self, entries: int, *, rounding: Rounding = Rounding.NEAREST, rotation: int = 0
    ) -> tuple[Segment, Segment]:
        """Return the segments of a vector of m entries with its weight; the weight is not rotated or randomised."""
        levels = (1 << (self.value_bits - 1)) - 1
        most = self.clip * self.cap
        products = Segment(
            count=entries,
            clip=most,
            step=most / levels,
            beyond=Beyond.CLIP if rotation else Beyond.REFUSE,
            rounding=rounding,
            rotation=rotation,
        )
        weight = Segment(count=1, clip=self.cap, step=_power_of_two(self.cap / levels), beyond=Beyond.REFUSE)
        return products, weight

    def vector(self, values: ArrayLike, weight: float) -> Weighted:
        """Return a site's [w x, w], with x clamped to the clip and w to the cap.

        Args:
            values: (m,) finite numbers.
            weight: nonnegative number; 0 excludes the site from the mean.

        Raises:
            ParameterError: NaN or infinity, or a negative weight.
        """
        reals = as_reals(vector_of(values, None))
        if not (np.isfinite(reals).all() and isfinite(weight) and weight >= 0):
            raise ParameterError("values and weight must be finite, and the weight not negative")
        within = np.clip(reals, -self.clip, self.clip)
        counted = min(float(weight), self.cap)
        return Weighted(np.append(counted * within, counted), int(np.count_nonzero(within != reals)))

    def mean(self, total: ArrayLike) -> Reals:
        """Return the mean, (m,), of a sum of such vectors.

        Raises:
            ParameterError: the weights add up to zero.
        """
        *_, weight = sums = as_reals(total)
        if not weight > 0:
            raise ParameterError("all weights are zero, so there is no mean")
        mean: Reals = sums[:-1] / weight
        return mean


def _power_of_two(least: float) -> float:
    """Return the least power of two not below a number; whole numbers are multiples of any power up to 1."""
    mantissa, exponent = frexp(least)
    return ldexp(1.0, exponent - (mantissa == 0.5))
