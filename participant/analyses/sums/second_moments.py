"""Means, variances and covariances of a design across all sites, from one sum, for penalised regression and principal
components.

With the sums n, s and G of 1, z and z z' (`participant.statistics.vocabulary.gram`):

    mean = s / n,   cross = G - n mean mean'

Rounds: one, or three if the bounds proven from declared ranges make the sums coarse (`ranged`). The effect of rounding
on a variance is bounded, and the sums are refused unless it is small.
"""

from typing import NamedTuple

import numpy as np

from participant.analyses.base.declared import warn_of_outside
from participant.analyses.base.errors import CollinearityError, NoRowsError, too_coarse
from participant.analyses.base.ranged import ranged
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import TableSpec
from participant.analyses.base.standardised import Standardised
from participant.analyses.base.symmetric import symmetric
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import GRAM
from participant.statistics.language.layout import Array
from participant.statistics.models.design import INTERCEPT, Design
from participant.statistics.models.model import ModelParams

FINE = 1e-13  # share of a variance that rounding may change before a round of ranges
COARSE = 1e-7  # largest share that rounding may change
CONSTANT = 1e-12  # share of the mean square; a column with a smaller variance is constant
HARDLY = 1e-8  # share of the declared range; a column with a smaller standard deviation is constant, too


class SecondMoments(NamedTuple):
    """Moments of the p covariates of a design, the intercept left out.

    Attributes:
        names: names of the covariates.
        rows: number of rows n across all sites.
        mean: (p,) means.
        cross: (p, p) sums of products of deviations from the mean.
        sites: names of the contributing sites.
        warnings: warnings about clipped values and sites left out.
    """

    names: tuple[str, ...]
    rows: int
    mean: Array
    cross: Array
    sites: tuple[str, ...]
    warnings: list[str]

    @property
    def sd(self) -> Array:
        """Standard deviations, (p,), with n as divisor."""
        return np.sqrt(np.diag(self.cross) / self.rows)


async def second_moments(spec: TableSpec, design: Design, secure_sum: SecureSum) -> SecondMoments:
    """Return the moments of a design without an intercept.

    Raises:
        NoRowsError: across all sites, no row meets the filter and has all values.
        CollinearityError: a covariate has the same value in all rows.
        PrecisionError: the sums are too coarse; the message says what helps.
    """
    standard = Standardised.of(Design(terms=(INTERCEPT, *design.terms)))
    params = ModelParams(design=standard.design, weight=None, row_limit=spec.row_limit)
    query = spec.ask(GRAM, params, secure_sum.value_bits)
    answer = await secure_sum(query)
    if answer.values["rows"] < 1:
        raise NoRowsError("across all sites, no row meets the filter and has all values")
    mean, cross = _centred(answer)
    if (_rounding(query, answer) > FINE * np.diag(cross)).any():
        query, answer = await ranged(query, secure_sum)
        mean, cross = _centred(answer)
    low, high = (end[1:] for end in standard.design.box)
    square = np.diag(cross) + answer.values["rows"] * mean**2
    least = np.maximum(CONSTANT * square, answer.values["rows"] * (HARDLY * (high - low)) ** 2)
    rounding = _rounding(query, answer)
    constant = np.diag(cross) <= least
    if (rounding > np.where(constant, least, COARSE * np.diag(cross))).any():
        raise too_coarse("rounding could change a variance noticeably")
    if constant.any():
        names = [name for name, is_constant in zip(design.names, constant, strict=True) if is_constant]
        raise CollinearityError(names, "the same value in all rows across all sites; leave it out")
    return SecondMoments(
        names=design.names,
        rows=round(float(answer.values["rows"])),
        mean=standard.means(np.append(1.0, mean))[1:],
        cross=standard.products(np.pad(cross, (1, 0)))[1:, 1:],
        sites=answer.sites,
        warnings=[
            *spec.warn_of_withheld(answer.values, of_model=True),
            *warn_of_outside(params.columns, answer.values["outside"]),
        ],
    )


def _centred(answer: Sum) -> tuple[Array, Array]:
    """Return mean, (p,), and cross, (p, p), of the covariates after the intercept."""
    rows, gram = float(answer.values["rows"]), symmetric(answer.values["gram"], _order(answer.values["gram"]))
    mean = gram[0, 1:] / rows
    return mean, gram[1:, 1:] - rows * np.outer(mean, mean)


def _rounding(query: BoundQuery, answer: Sum) -> Array:
    """Return bounds on the effect of rounding on the diagonal of `cross`, (p,)."""
    mean, _ = _centred(answer)
    steps = query.steps["gram"]
    half = len(answer.sites) / 2 * symmetric(steps, len(mean) + 1)
    error: Array = np.diag(half)[1:] + 2 * np.abs(mean) * half[0, 1:]
    return error


def _order(upper: Array) -> int:
    """Return the order of a symmetric matrix from the entries on and above its diagonal."""
    return int((np.sqrt(8 * len(upper) + 1) - 1) / 2)
