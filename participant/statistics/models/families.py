"""Families of generalised linear models, each with its link.

With eta the linear predictor, m = m(eta) the mean, V(m) the variance up to the dispersion, and m' = dm / deta:

    family             link      m                V(m)          range of y
    gaussian           identity  eta              1             any
    binomial           logit     1/(1+exp(-eta))  m (1 - m)     0 to 1
    poisson            log       exp(eta)         m             0 or more
    negative-binomial  log       exp(eta)         m + a m^2     0 or more   (a given, above 0)
    gamma              log       exp(eta)         m^2           above 0

    pull      = (y - m) m' / V            score = sum of pull z
    weight    = m'^2 / V                  expected information = sum of weight z z'
    deviance  = 2 (l(y; y) - l(y; m))     with dispersion 1
    pearson   = (y - m)^2 / V
    own       = l(y; y) for families with dispersion 1; 0 for the gaussian and log y for the gamma, whose log-likelihood
                is put together from it and the estimated dispersion

As functions of y and of eta, deviance is convex, pull is monotone, and pearson falls to 0 and rises again. own does not
depend on eta and is monotone in y, except for the binomial: least at y = 1/2, and 0 at both ends. So each has
its largest absolute value at a corner of the box of y and eta (or at one half), which yields the bounds.

Source: McCullagh, Nelder 1989, "Generalized Linear Models", chapter 2; Hilbe 2011, "Negative Binomial Regression",
chapter 8.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import numpy as np

from participant.statistics.language.layout import Array
from participant.statistics.models.special import expit, gammaln, xlogy

FamilyName = Literal["gaussian", "binomial", "poisson", "negative-binomial", "gamma"]


class Parts(NamedTuple):
    """The rows' contributions to the sums, (rows,) each, as defined in the module's docstring."""

    pull: Array
    weight: Array
    deviance: Array
    pearson: Array
    own: Array


@dataclass(frozen=True, slots=True)
class Family:
    """A family. `alpha` is the parameter a of the negative binomial; other families ignore it."""

    name: FamilyName
    alpha: float = 0.0

    @property
    def range(self) -> tuple[float, float]:
        """Least and largest outcome that the family allows; the gamma family excludes the least itself."""
        if self.name == "binomial":
            return 0.0, 1.0
        return (-np.inf, np.inf) if self.name == "gaussian" else (0.0, np.inf)

    def mean(self, eta: Array) -> Array:
        if self.name == "gaussian":
            return eta
        result: Array = expit(eta) if self.name == "binomial" else np.exp(eta)
        return result

    def parts(self, y: Array, eta: Array) -> Parts:
        """Return the contributions of rows with these outcomes and linear predictors to the sums."""
        m = self.mean(eta)
        match self.name:
            case "gaussian":
                r = y - m
                return Parts(r, np.ones_like(m), r * r, r * r, np.zeros_like(m))
            case "binomial":
                # From eta and not from m: 1 - m has no digits left if m is close to 1.
                own: Array = xlogy(y, y) + xlogy(1 - y, 1 - y)
                log_likelihood = y * eta - np.logaddexp(0.0, eta)
                variance = expit(eta) * expit(-eta)
                # y^2 (1-m)/m + ... would cancel; this form has only positive terms.
                pearson = (y * expit(-eta) - (1 - y) * m) ** 2 / variance
                return Parts(y - m, variance, 2 * (own - log_likelihood), pearson, own)
            case "poisson":
                own = xlogy(y, y) - y - gammaln(y + 1)
                return Parts(y - m, m, 2 * (xlogy(y, y) - y - y * eta + m), (y - m) ** 2 / m, own)
            case "negative-binomial":
                return self._negative_binomial(y, m, eta)
            case "gamma":
                r = (y - m) / m
                return Parts(r, np.ones_like(m), 2 * (r - np.log(y) + eta), r * r, np.log(y))

    def _negative_binomial(self, y: Array, m: Array, eta: Array) -> Parts:
        a = self.alpha
        spread = 1 + a * m
        own = xlogy(y, a * y) - (y + 1 / a) * np.log1p(a * y)
        at_mean = y * (np.log(a) + eta) - (y + 1 / a) * np.log1p(a * m)
        binomial = gammaln(y + 1 / a) - gammaln(1 / a) - gammaln(y + 1)
        return Parts((y - m) / spread, m / spread, 2 * (own - at_mean), (y - m) ** 2 / (m * spread), own + binomial)

    def bounds(self, y: tuple[float, float], eta: tuple[float, float]) -> Parts:
        """Return the largest absolute value of each part inside the box of outcome and linear predictor."""
        corners = np.array(list(product(y, eta)))
        with np.errstate(over="ignore", invalid="ignore"):  # a layout refuses infinite bounds
            parts = self.parts(corners[:, 0], corners[:, 1])
            if self.name == "binomial":  # these two are largest where m and y are one half
                parts = parts._replace(weight=np.array([0.25]), own=np.array([np.log(2)]))
            return Parts(*(np.abs(part).max() for part in parts))
