"""Steps of Newton's method and of Fisher's scoring, and what is the matter where there is none."""

from collections.abc import Sequence

import numpy as np

from participant.analyses.base.errors import CollinearityError, SeparationError
from participant.analyses.base.secure_sum import SecureSum
from participant.statistics.language.layout import Array

COLLINEAR = 1e-9  # smallest eigenvalue of the information, scaled to unit diagonal
INVOLVED = 1e-3  # of a covariate in the eigenvector
VANISHED = 1e-6  # of a parameter's information at the start


def check_identifiable(names: Sequence[str], information: Array, secure_sum: SecureSum) -> None:
    """Check that the information at the start, (p, p), tells the parameters apart.

    Raises:
        CollinearityError: it does not; names those involved.
    """
    diagonal = np.diag(information)
    if flat := [name for name, value in zip(names, diagonal, strict=True) if value <= 0]:
        raise CollinearityError(flat, "always 0 among the rows, so nothing can be told about it")
    values, vectors = np.linalg.eigh(information / np.sqrt(np.outer(diagonal, diagonal)))
    if secure_sum.below(values[0], COLLINEAR):
        involved = [name for name, part in zip(names, vectors[:, 0], strict=True) if abs(part) > INVOLVED]
        raise CollinearityError(involved, "one of these is a linear combination of the others; leave one of them out")


def newton_step(names: Sequence[str], first: Array, information: Array, score: Array) -> Array:
    """Return information^-1 score, (p,).

    Raises:
        SeparationError: compared with the `first` one the information about some parameters is gone.
    """
    vanished = np.diag(information) <= VANISHED * np.diag(first)
    if vanished.any():
        raise SeparationError(
            [name for name, gone in zip(names, vanished, strict=True) if gone],
            "the estimate grows without end; these probably separate the outcomes, in some group at least",
        )
    return np.linalg.solve(information, score).astype(np.float64)
