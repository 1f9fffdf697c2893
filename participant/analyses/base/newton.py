"""Steps of Newton's method and Fisher scoring, and the diagnosis if no step exists."""

from collections.abc import Sequence

import numpy as np

from participant.analyses.base.errors import CollinearityError, SeparationError
from participant.analyses.base.secure_sum import SecureSum
from participant.statistics.language.layout import Array

COLLINEAR = 1e-9  # smallest eigenvalue of the information, scaled to unit diagonal
INVOLVED = 1e-3  # smallest weight in the eigenvector at which an error names a covariate
VANISHED = 1e-6  # share of a parameter's information at the start


def check_identifiable(names: Sequence[str], information: Array, secure_sum: SecureSum) -> None:
    """Check that the initial information, (p, p), identifies the parameters.

    Raises:
        CollinearityError: some parameters are not identified; the error names those involved.
    """
    diagonal = np.diag(information)
    if flat := [name for name, value in zip(names, diagonal, strict=True) if value <= 0]:
        raise CollinearityError(flat, "always 0 in the rows, so there is nothing to estimate")
    values, vectors = np.linalg.eigh(information / np.sqrt(np.outer(diagonal, diagonal)))
    if secure_sum.below(values[0], COLLINEAR):
        involved = [name for name, part in zip(names, vectors[:, 0], strict=True) if abs(part) > INVOLVED]
        if len(involved) == 2 and "1" in involved:
            involved.remove("1")
            raise CollinearityError(involved, "the same value in all rows; leave it out")
        raise CollinearityError(
            involved, "these are collinear: one is a linear combination of the others; leave one out"
        )


def newton_step(names: Sequence[str], first: Array, information: Array, score: Array) -> Array:
    """Return information^-1 score, (p,).

    Raises:
        SeparationError: relative to `first`, the information about some parameters has vanished.
    """
    vanished = np.diag(information) <= VANISHED * np.diag(first)
    if vanished.any():
        raise SeparationError(
            [name for name, gone in zip(names, vanished, strict=True) if gone],
            "the estimate grows without bound; these probably separate the outcomes, at least in some group",
        )
    return np.linalg.solve(information, score).astype(np.float64)
