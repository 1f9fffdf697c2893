"""Joint Wald tests of several coefficients, and the coefficients of each term of a design.

    F = b' C^-1 b / q        for q coefficients b with covariance C

In a linear model this is exactly the F test that compares the residual sums of squares without and with the term.

Source: Seber, Lee 2003, "Linear Regression Analysis", section 4.3.
"""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from participant.statistics.language.layout import Array
from participant.statistics.models.basis import Basis
from participant.statistics.models.design import Coding, Design, Factor


def terms_of(design: Design) -> Mapping[str, list[int]]:
    """Return the positions of each term's covariates, by the term's name; the intercept is left out."""
    places: dict[str, list[int]] = {}
    start = 0
    for term in design.terms:
        count = prod(len(factor.names) for factor in term)
        name = ":".join(_label(factor) for factor in term)
        if term:
            places[name] = list(range(start, start + count))
        start += count
    return places


def _label(factor: Factor) -> str:
    match factor:
        case Coding(column=column):
            return column
        case Basis(label=label):
            return label
    return factor.names[0]


def wald_f(coef: Array, covariance: Array, which: Sequence[int]) -> float:
    """Return the F of some coefficients; its degrees of freedom are their number and the residual ones."""
    inside = covariance[np.ix_(which, which)]
    se = np.sqrt(np.diag(inside))  # units cancel, which keeps a year and its square apart
    b = coef[which] / se
    return float(b @ np.linalg.solve(inside / np.outer(se, se), b)) / len(b)
