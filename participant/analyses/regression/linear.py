"""Linear regression with diagnostics: least squares over the rows of all sites.

The fit is that of `glm` with the gaussian family, which is ordinary (or weighted) least squares: estimates, standard
errors, t tests and intervals equal those of one pooled table. With p coefficients, q of them slopes, the
residual sum of squares RSS, and the information I = X' W X:

    s2    = RSS / (n - p)
    F     = Wald's joint F of all slopes, with q and n - p degrees of freedom      (`wald`)
    R2    = q F / (q F + n - p)             adjusted: 1 - (1 - R2) (n - p + q) / (n - p)
    terms = Wald's F of the coefficients of each term, given all others
    VIF   = (I^-1)_jj (I_jj - I_1j^2 / I_11)                the covariate's sum of squares about its mean in brackets

These are the usual statistics, computed from the coefficients rather than from differences of large sums of squares.

Residuals y - fit are described by their quantiles at 5, 25, 50, 75 and 95 %, on a grid of a hundredth of s (`quantiles`
explains how they are found), next to those of a normal distribution, and by the number beyond eight s. No single
residual is disclosed. `residuals = false` omits them and their histograms.

Rounds: about three for the fit, and those of the quantiles. Convergence as in `glm`: one step reaches the minimum of a
quadratic; the second corrects its rounding. If a site is lost midway, everything starts over with the remaining sites.
Disclosure: that of `glm-score` and `histogram`.

    analysis = "linear"
    dataset = "lung"
    formula = "wt.loss ~ age + C(sex) + ph.karno"
    numbers = [
        {column = "wt.loss", low = -50, high = 100},
        {column = "age", low = 18, high = 100},
        {column = "ph.karno", low = 0, high = 100},
    ]
    categories = [{column = "sex", levels = [1, 2]}]
    minimum_persons = 1
    row_limit = 1000

Sources: Seber, Lee 2003, "Linear Regression Analysis", chapters 3, 4 and 10; Belsley, Kuh, Welsch 1980, "Regression
Diagnostics", section 3.1, for VIF.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from participant.analyses.base.coefficients import CoefficientResult, known, p_text
from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.wald import terms_of, wald_f
from participant.analyses.regression.glm import Fitted, GlmResult, GlmSpec, fit_with_moments
from participant.analyses.sums.quantiles import Quantiles, find_quantiles
from participant.statistics.language.conditions import Comparison
from participant.statistics.language.layout import Array
from participant.statistics.models.special import fdtrc, ndtri
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.histogram import Predicted

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
REACH = 8.0  # residual standard deviations; residuals beyond are counted
GRID = 100  # grid steps per residual standard deviation
INFLATED = 10.0  # VIF at or above which a warning says so


class LinearSpec(FormulaSpec):
    """A linear model as a formula; `weight` is a column of precisions, as in `glm`, or None; `residuals` states whether
    to describe the residuals.
    """

    analysis: Literal["linear"] = "linear"
    beside: ClassVar[frozenset[str]] = frozenset({"histogram"})
    weight: Variable | None = None
    residuals: bool = True

    async def analyse(self, secure_sum: SecureSum) -> "LinearResult":
        """Run the analysis; raises the same errors as `fit_linear`."""
        return await fit_linear(self, secure_sum)

    def as_glm(self) -> GlmSpec:
        """Return the same model as a generalised linear one."""
        return GlmSpec(family="gaussian", weights_are="precision", **self.model_dump(exclude={"analysis", "residuals"}))


class TermTest(NamedTuple):
    """F of a term's coefficients, with degrees of freedom and p-value."""

    name: str
    f: float
    df: int
    p: float


class Residual(NamedTuple):
    """A quantile of the residuals, None if the floor hides it, and the same quantile of a normal distribution."""

    share: float
    value: float | None
    normal: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearResult(CoefficientResult):
    """The fit, with these attributes in addition to those of every regression.

    Attributes:
        outcome: name of the outcome.
        statistic, p: t and its two-sided p-value.
        lower, upper: 95 % confidence interval of the coefficient.
        vif: variance inflation factors; NaN for the intercept, and all NaN without one.
        r_squared, adjusted_r_squared: share of the variance explained.
        f, f_p: joint test of all coefficients but the intercept; None if there are none.
        df: residual degrees of freedom.
        sigma: residual standard deviation.
        terms: test of each term.
        log_likelihood, aic, bic: values at the estimate; None with weights.
        residuals: quantiles of the residuals; empty if not requested.
        beyond: number of residuals beyond eight standard deviations.
    """

    analysis: ClassVar[str] = "linear"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "coef": ".6g",
        "se": ".4g",
        "statistic": ".3f",
        "p": ".3g",
        "lower": ".5g",
        "upper": ".5g",
        "vif": ".3f",
    }
    drawn: ClassVar[str] = "coef"

    outcome: str
    statistic: Array
    vif: Array
    r_squared: float
    adjusted_r_squared: float
    f: float | None
    f_p: float | None
    df: float
    sigma: float
    terms: tuple[TermTest, ...]
    log_likelihood: float | None
    aic: float | None
    bic: float | None
    residuals: tuple[Residual, ...]
    beyond: int

    def columns(self) -> Mapping[str, Array]:
        return {
            "coef": self.coef,
            "se": self.se,
            "lower": self.lower,
            "upper": self.upper,
            "statistic": self.statistic,
            "p": self.p,
            "vif": self.vif,
        }

    @property
    def title(self) -> str:
        return f"Linear regression of {self.outcome}"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Df residuals": self.df,
            "R-squared": self.r_squared,
            "Adjusted R-squared": self.adjusted_r_squared,
            "Residual std dev": self.sigma,
            "F": self.f,
            "p of F": p_text(self.f_p),
            "Log-likelihood": self.log_likelihood,
            "AIC": self.aic,
            "BIC": self.bic,
        }

    def notes(self) -> list[str]:
        terms = [
            f"{term.name}: F {term.f:.4f} on {term.df} and {self.df:g}, p = {term.p:.3g}"
            for term in self.terms
            if term.df > 1
        ]
        residuals = [
            f"residuals, {100 * one.share:g} %: {'hidden' if one.value is None else f'{one.value:.4g}'} "
            f"(normal {one.normal:.4g})"
            for one in self.residuals
        ]
        return [*terms, *residuals]


async def fit_linear(spec: LinearSpec, secure_sum: SecureSum) -> LinearResult:
    """Fit the model that `spec` describes. Raises the same errors as `fit_with_moments`."""
    if not spec.residuals:
        return _result(spec, await fit_with_moments(spec.as_glm(), secure_sum), None)
    return await over_one_cohort(partial(_fit_with_residuals, spec), secure_sum)


async def _fit_with_residuals(spec: LinearSpec, secure_sum: SecureSum) -> LinearResult:
    fitted = await fit_with_moments(spec.as_glm(), secure_sum)
    width = sqrt(fitted.result.dispersion) / GRID
    counted = spec.narrowed(Comparison(column=spec.weight.column, op=">", value=0.0)) if spec.weight else spec
    found = await find_quantiles(counted, secure_sum, _residual(spec, fitted.result), SHARES, width)
    return _result(spec, fitted, found)


def _residual(spec: LinearSpec, fit: GlmResult) -> Predicted:
    outcome, design = spec.model()
    reach = REACH * sqrt(fit.dispersion)
    return Predicted(
        what="residual",
        family="gaussian",
        alpha=0.0,
        design=design,
        coefficients=tuple(fit.coef.tolist()),
        offset=None,
        outcome=outcome,
        low=-reach,
        high=reach,
    )


def _result(spec: LinearSpec, fitted: Fitted, residuals: Quantiles | None) -> LinearResult:
    fit = fitted.result
    outcome, design = spec.model()
    slopes = [i for i, name in enumerate(fit.names) if name != "1"]
    intercept = len(slopes) < len(fit.names)
    f = wald_f(fit.coef, fit.covariance, slopes) if slopes else None
    explained = 0.0 if f is None else f * len(slopes)
    r_squared = explained / (explained + fit.df)
    sigma, vif = sqrt(fit.dispersion), _vif(fitted)
    return LinearResult(
        outcome=outcome.names[0],
        names=fit.names,
        coef=fit.coef,
        se=fit.se,
        covariance=fit.covariance,
        statistic=fit.statistic,
        p=fit.p,
        lower=fit.lower,
        upper=fit.upper,
        vif=vif,
        r_squared=r_squared,
        adjusted_r_squared=1 - (1 - r_squared) * (fit.df + len(slopes)) / fit.df,
        f=f,
        f_p=None if f is None else float(fdtrc(len(slopes), fit.df, f)),
        df=fit.df,
        sigma=sigma,
        terms=tuple(_term(fit, name, which) for name, which in terms_of(design).items()),
        log_likelihood=known(fit.log_likelihood),
        aic=known(fit.aic),
        bic=known(fit.bic),
        residuals=_described(residuals, sigma) if residuals else (),
        beyond=residuals.outside if residuals else 0,
        rows=fit.rows,
        sites=fit.sites,
        warnings=(
            *fit.warnings,
            *(() if intercept else ("without an intercept, R-squared and F refer to 0, not to the mean",)),
            *_of_collinearity(fit, vif),
            *_of_residuals(residuals, fit),
        ),
    )


def _vif(fitted: Fitted) -> Array:
    fit = fitted.result
    vif: Array = np.diag(fit.covariance) / fit.dispersion * fitted.squares
    return np.where(np.array(fit.names) == "1", np.nan, vif)


def _term(fit: GlmResult, name: str, which: list[int]) -> TermTest:
    f = wald_f(fit.coef, fit.covariance, which)
    return TermTest(name, f, len(which), float(fdtrc(len(which), fit.df, f)))


def _described(found: Quantiles, sigma: float) -> tuple[Residual, ...]:
    return tuple(
        Residual(share, value if known else None, sigma * float(ndtri(share)))
        for share, value, known in zip(SHARES, found.values.tolist(), found.known, strict=True)
    )


def _of_collinearity(fit: GlmResult, vif: Array) -> list[str]:
    inflated = [f"{name} ({factor:.3g})" for name, factor in zip(fit.names, vif, strict=True) if factor > INFLATED]
    if not inflated:
        return []
    return [f"collinear: the others explain most of {', '.join(inflated)}; variance inflation in brackets"]


def _of_residuals(found: Quantiles | None, fit: GlmResult) -> list[str]:
    if found is None:
        return []
    warnings = list(found.warnings)
    if found.rows != fit.rows:
        warnings.append(
            f"the residuals cover {found.rows} rows, the fit {fit.rows}: the fit requires more rows of each site"
        )
    if found.outside:
        warnings.append(f"{found.outside} residuals exceed {REACH:g} standard deviations")
    return warnings
