"""Negative binomial regression with estimated overdispersion: V = m + alpha m^2.

For a given alpha, the coefficients are those of `glm`. With l(alpha) the profile log-likelihood, the
estimate maximises l. As a smooth function of t = log alpha, l is close to a polynomial through its
values at a few Chebyshev points:

    1. t starts at the moment estimate of a Poisson fit, alpha = (Pearson's chi-square - (n - p)) / sum of means
    2. five points within 1 of t locate the maximum to about 0.01; while it is at an end, t moves there
    3. seven points within 0.2 of it locate the maximum to about 1e-9, and the second derivative gives the standard
       error of t; that of alpha is alpha se(t), its 95 % interval exp(t +- 1.96 se(t))

Comparing values alone would locate the maximum to 1e-5 at best; the derivative of a polynomial avoids that
loss. The coefficients' standard errors come from the expected information at the estimate, in which coefficients
and alpha are orthogonal. Under the Poisson model, half of the likelihood ratio's distribution is at 0, so its p-value
is half that of chi-square with one degree of freedom. AIC and BIC count alpha as a parameter.

Rounds: two or three for each of fourteen fits, each starting from earlier ones. Convergence: as in `glm`; if only l is
needed, to 1e-5 standard errors, which is 1e-10 of l. Counts that vary no more than Poisson counts are refused, as l
then increases towards alpha = 0. If a site is lost midway, everything starts over with the remaining sites. Disclosure:
that of `glm-score`.

    analysis = "negative-binomial"
    dataset = "lung"
    formula = "time ~ age + C(sex)"
    numbers = [{column = "age", low = 18, high = 100}, {column = "time", low = 0, high = 1100}]
    categories = [{column = "sex", levels = [1, 2]}]
    minimum_persons = 1
    row_limit = 1000

Sources: Lawless 1987, Can J Stat 15:209, also for the test against Poisson; Cameron, Trivedi 2013, "Regression Analysis
of Count Data", section 3.3; Berrut, Trefethen 2004, SIAM Rev 46:501, for polynomials through Chebyshev points.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.polynomial import Chebyshev

from participant.analyses.base.coefficients import CoefficientResult
from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.errors import AnalysisError, ConvergenceError
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.regression.glm import TOLERANCE, GlmResult, GlmSpec, Offset, fit_glm
from participant.statistics.language.layout import Array
from participant.statistics.models.special import chdtrc, ndtri

WIDE, NARROW = (1.0, 5), (0.2, 7)  # half the width of an interval of t, and its number of points
LEAST, MOST = log(1e-6), log(1e4)  # limits of t
ENOUGH = 1e-5  # precision of coefficients, in standard errors, if only l is needed


class NotOverdispersedError(AnalysisError):
    """The counts vary no more than Poisson counts, so there is no estimate of alpha above 0."""


class NegativeBinomialSpec(FormulaSpec):
    """A model of counts as a formula; its `offset` is, for example, the logarithm of a time at risk."""

    analysis: Literal["negative-binomial"] = "negative-binomial"
    offset: Offset | None = None

    async def analyse(self, secure_sum: SecureSum) -> "NegativeBinomialResult":
        """Run the analysis; raises the same errors as `fit_negative_binomial`."""
        return await fit_negative_binomial(self, secure_sum)

    def as_glm(self, alpha: float) -> GlmSpec:
        """Return the generalised linear model for a given alpha; at 0, the Poisson model."""
        family = "negative-binomial" if alpha else "poisson"
        return GlmSpec.model_validate(self.model_dump(exclude={"analysis"}) | {"family": family, "alpha": alpha})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NegativeBinomialResult(CoefficientResult):
    """The fit, with these attributes in addition to those of every regression.

    Attributes:
        outcome: name of the outcome.
        statistic, p: z and its two-sided p-value.
        rate_ratio, lower, upper: exp of the coefficient, with its 95 % interval.
        alpha, alpha_se, alpha_lower, alpha_upper: overdispersion, its standard error and 95 % interval.
        poisson_ratio, poisson_p: likelihood-ratio test against alpha = 0.
        log_likelihood, aic, bic: values of the fit.
        deviance, pearson: goodness of fit at the estimates.
        df: residual degrees of freedom, not counting alpha.
        fits: number of fits made.
    """

    analysis: ClassVar[str] = "negative-binomial"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "coef": ".6g",
        "se": ".4g",
        "z": ".3f",
        "p": ".3g",
        "rate_ratio": ".4g",
        "lower": ".4g",
        "upper": ".4g",
    }
    drawn: ClassVar[str] = "rate_ratio"

    outcome: str
    statistic: Array
    rate_ratio: Array
    alpha: float
    alpha_se: float
    alpha_lower: float
    alpha_upper: float
    poisson_ratio: float
    poisson_p: float
    log_likelihood: float
    aic: float
    bic: float
    deviance: float
    pearson: float
    df: float
    fits: int

    def columns(self) -> Mapping[str, Array]:
        return {
            "coef": self.coef,
            "se": self.se,
            "z": self.statistic,
            "p": self.p,
            "rate_ratio": self.rate_ratio,
            "lower": self.lower,
            "upper": self.upper,
        }

    @property
    def title(self) -> str:
        return f"Negative binomial regression of {self.outcome}"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Df residuals": self.df,
            "Alpha": self.alpha,
            "Std err of alpha": self.alpha_se,
            "95 % interval": f"{self.alpha_lower:.5g} to {self.alpha_upper:.5g}",
            "Against Poisson": self.poisson_ratio,
            "P > against Poisson": f"{self.poisson_p:.3g}",
            "Pearson chi2 / df": self.pearson / self.df,
            "Log-likelihood": self.log_likelihood,
            "AIC": self.aic,
            "BIC": self.bic,
        }

    def notes(self) -> list[str]:
        return ["The interval is for the rate ratio."]


async def fit_negative_binomial(spec: NegativeBinomialSpec, secure_sum: SecureSum) -> NegativeBinomialResult:
    """Fit the model that `spec` describes.

    Raises: as `fit_glm`; and
        NotOverdispersedError: the counts vary no more than Poisson's.
        ConvergenceError: the likelihood has no maximum in alpha between 1e-6 and 1e4.
    """
    return await over_one_cohort(lambda sums: _Profile(spec, sums).maximise(), secure_sum)


class _Profile:
    """Fits at values of t = log alpha over the same sites, each starting from earlier coefficients."""

    def __init__(self, spec: NegativeBinomialSpec, secure_sum: SecureSum) -> None:
        self._spec, self._secure_sum = spec, secure_sum
        self._fits: dict[float, GlmResult] = {}  # keyed by t
        self._count = 0

    async def maximise(self) -> NegativeBinomialResult:
        poisson = await self._fit(0.0, None)
        t = self._moments(poisson)
        while True:
            at = _maximum(await self._interpolated(t, *WIDE))
            if self._secure_sum.below(abs(at - t), 0.9 * WIDE[0]):
                break
            t = at
            if self._secure_sum.below(t, LEAST):
                raise NotOverdispersedError("the likelihood rises towards alpha = 0; use the Poisson model")
            if not self._secure_sum.below(t, MOST):
                raise ConvergenceError("the likelihood rises without bound in alpha")
        profile = await self._interpolated(at, *NARROW)
        best = _maximum(profile)
        fit = await self._fit(exp(best), self._expected(best), tolerance=TOLERANCE)
        return self._result(poisson, fit, best, 1 / sqrt(-float(profile.deriv(2)(best))))

    def _moments(self, poisson: GlmResult) -> float:
        excess = poisson.pearson - poisson.df
        if excess <= 0:
            raise NotOverdispersedError(
                f"Pearson's chi-square of the Poisson model is {poisson.pearson / poisson.df:.3g} times its degrees of "
                "freedom: the counts are not overdispersed, so use the Poisson model"
            )
        if "1" not in poisson.names:
            return 0.0
        one = poisson.names.index("1")
        means = float(np.linalg.inv(poisson.covariance)[one, one])  # a Poisson model's information about the intercept
        return min(max(log(excess / means), LEAST / 2), MOST / 2)

    async def _interpolated(self, middle: float, reach: float, points: int) -> Chebyshev:
        """Return the polynomial through the profile at Chebyshev points, up to a constant."""
        nodes = middle + reach * np.cos(np.pi * (np.arange(points) + 0.5) / points)
        for t in nodes.tolist():
            self._fits[t] = await self._fit(exp(t), self._expected(t), tolerance=ENOUGH)
        values = np.array([self._fits[t].log_likelihood for t in nodes.tolist()])
        return Chebyshev.fit(nodes, values - values.max(), points - 1, domain=[middle - reach, middle + reach])

    def _expected(self, t: float) -> Array | None:
        """Return initial coefficients, extrapolated linearly from the two nearest fits."""
        near = sorted(self._fits, key=lambda other: abs(other - t))[:2]
        if len(near) < 2:
            return self._fits[near[0]].coef if near else None
        (first, second), (b, other) = near, [self._fits[one].coef for one in near]
        return b + (t - first) / (second - first) * (other - b)

    async def _fit(self, alpha: float, start: Array | None, tolerance: float = TOLERANCE) -> GlmResult:
        self._count += 1
        return await fit_glm(self._spec.as_glm(alpha), self._secure_sum, start, tolerance)

    def _result(self, poisson: GlmResult, fit: GlmResult, t: float, se: float) -> NegativeBinomialResult:
        ratio = max(2 * (fit.log_likelihood - poisson.log_likelihood), 0.0)
        parameters, margin = len(fit.coef) + 1, float(ndtri(0.975)) * se
        return NegativeBinomialResult(
            outcome=self._spec.model()[0].names[0],
            names=fit.names,
            coef=fit.coef,
            se=fit.se,
            covariance=fit.covariance,
            statistic=fit.statistic,
            p=fit.p,
            rate_ratio=fit.ratio,
            lower=fit.ratio_lower,
            upper=fit.ratio_upper,
            alpha=exp(t),
            alpha_se=exp(t) * se,
            alpha_lower=exp(t - margin),
            alpha_upper=exp(t + margin),
            poisson_ratio=ratio,
            poisson_p=float(chdtrc(1, ratio)) / 2,
            log_likelihood=fit.log_likelihood,
            aic=2 * parameters - 2 * fit.log_likelihood,
            bic=parameters * log(fit.rows) - 2 * fit.log_likelihood,
            deviance=fit.deviance,
            pearson=fit.pearson,
            df=fit.df,
            fits=self._count,
            rows=fit.rows,
            sites=fit.sites,
            warnings=fit.warnings,
        )


def _maximum(profile: Chebyshev) -> float:
    """Return the position of the polynomial's maximum in its interval."""
    slopes = profile.deriv().roots()
    inside = slopes.real[
        (np.abs(slopes.imag) < 1e-9) & (slopes.real > profile.domain[0]) & (slopes.real < profile.domain[1])
    ]
    candidates = np.concatenate([inside, profile.domain])
    return float(candidates[np.argmax(profile(candidates))])
