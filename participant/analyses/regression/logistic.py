"""Logistic regression as reported in papers: odds ratios, the likelihood-ratio test, and the calibration of risks.

The fit is that of `glm` with the binomial family; see there for formulas, rounds, convergence and refusals. With the
log-likelihoods l of the fit and l0 of the intercept alone, q slopes and n rows:

    likelihood ratio  2 (l - l0)                      chi-square, with q degrees of freedom
    McFadden's R2     1 - l / l0
    Hosmer-Lemeshow   with `groups` groups by predicted risk (`hosmer_lemeshow`), if asked for

Rounds: those of `glm`. Hosmer and Lemeshow's test takes about four more, and up to a hundred under a floor, where it
searches the groups' limits by halving. If a site is lost midway, everything starts over with the remaining sites; if
too few are left for the test, the fit stands without it. Disclosure: that of `glm-score`, and of `histogram` by risk
and outcome.

    analysis = "logistic"
    dataset = "lung"
    formula = "status ~ age + C(sex)"
    numbers = [{column = "age", low = 18, high = 100}, {column = "status", low = 0, high = 1}]
    categories = [{column = "sex", levels = [1, 2]}]
    minimum_persons = 1
    row_limit = 1000

Source: Hosmer, Lemeshow, Sturdivant 2013, "Applied Logistic Regression", chapters 2, 3 and 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any, ClassVar, Literal

from pydantic import Field

from participant.analyses.base.coefficients import CoefficientResult, known, p_text
from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.text_table import text_table
from participant.analyses.regression.glm import GlmResult, GlmSpec, fit_glm
from participant.analyses.regression.hosmer_lemeshow import HosmerLemeshow, RiskGroup, hosmer_lemeshow
from participant.statistics.language.layout import Array
from participant.statistics.vocabulary.histogram import Predicted
from secagg.errors import NotEnoughParticipantsError


class LogisticSpec(FormulaSpec):
    """A logistic model as a formula, for an outcome of 0 or 1; `groups`, often 10, for Hosmer and Lemeshow's test."""

    analysis: Literal["logistic"] = "logistic"
    beside: ClassVar[frozenset[str]] = frozenset({"histogram"})
    groups: int = Field(default=0, ge=0, le=100)

    async def analyse(self, secure_sum: SecureSum) -> "LogisticResult":
        """Run the analysis; raises the same errors as `fit_logistic`."""
        return await fit_logistic(self, secure_sum)

    def as_glm(self) -> GlmSpec:
        """Return the same model as a generalised linear one."""
        return GlmSpec(family="binomial", **self.model_dump(exclude={"analysis", "groups"}))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticResult(CoefficientResult):
    """The fit, with these attributes in addition to those of every regression.

    Attributes:
        outcome: name of the outcome.
        statistic, p: z and its two-sided p-value.
        odds_ratio, lower, upper: exp of the coefficient, with its 95 % interval.
        log_likelihood, null_log_likelihood: values of the fit, and of the intercept alone (NaN without one).
        likelihood_ratio, likelihood_ratio_p: joint test of all slopes; None if there are none.
        mcfadden: McFadden's R2, NaN without a null model.
        aic, bic: information criteria of the fit.
        df: residual degrees of freedom.
        hosmer_lemeshow, hosmer_lemeshow_df, hosmer_lemeshow_p: Hosmer and Lemeshow's test; None if there is none.
        groups: groups by predicted risk.
    """

    analysis: ClassVar[str] = "logistic"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "coef": ".6g",
        "se": ".4g",
        "z": ".3f",
        "p": ".3g",
        "odds_ratio": ".4g",
        "lower": ".4g",
        "upper": ".4g",
    }
    drawn: ClassVar[str] = "odds_ratio"

    outcome: str
    statistic: Array
    odds_ratio: Array
    log_likelihood: float
    null_log_likelihood: float
    likelihood_ratio: float | None
    likelihood_ratio_p: float | None
    mcfadden: float
    aic: float
    bic: float
    df: float
    hosmer_lemeshow: float | None
    hosmer_lemeshow_df: int | None
    hosmer_lemeshow_p: float | None
    groups: tuple[RiskGroup, ...]

    def columns(self) -> Mapping[str, Array]:
        return {
            "coef": self.coef,
            "se": self.se,
            "z": self.statistic,
            "p": self.p,
            "odds_ratio": self.odds_ratio,
            "lower": self.lower,
            "upper": self.upper,
        }

    @property
    def title(self) -> str:
        return f"Logistic regression of {self.outcome}"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Df residuals": self.df,
            "Log-likelihood": self.log_likelihood,
            "LL of a constant": known(self.null_log_likelihood),
            "Likelihood ratio": self.likelihood_ratio,
            "P > likelihood ratio": p_text(self.likelihood_ratio_p),
            "McFadden's R-squared": known(self.mcfadden),
            "AIC": self.aic,
            "BIC": self.bic,
            "Hosmer-Lemeshow": self.hosmer_lemeshow,
            "P > Hosmer-Lemeshow": p_text(self.hosmer_lemeshow_p),
        }

    def notes(self) -> list[str]:
        note = "The interval is for the odds ratio."
        formats = {"low": ".4f", "high": ".4f", "rows": "d", "events": "d", "expected": ".2f"}
        groups = text_table([group._asdict() for group in self.groups], formats) if self.groups else []
        return [note, *(["Rows by predicted risk:", *groups] if groups else [])]


async def fit_logistic(spec: LogisticSpec, secure_sum: SecureSum) -> LogisticResult:
    """Fit the model that `spec` describes. Raises the same errors as `fit_glm`."""
    if not spec.groups:
        return _result(spec, await fit_glm(spec.as_glm(), secure_sum), None)
    return await over_one_cohort(partial(_fit_and_test, spec, spec.groups), secure_sum)


async def _fit_and_test(spec: LogisticSpec, groups: int, secure_sum: SecureSum) -> LogisticResult:
    fit = await fit_glm(spec.as_glm(), secure_sum)
    outcome, design = spec.model()
    risk = Predicted(
        what="mean",
        family="binomial",
        alpha=0.0,
        design=design,
        coefficients=tuple(fit.coef.tolist()),
        offset=None,
        outcome=None,
        low=0.0,
        high=1.0,
    )
    try:
        tested = await hosmer_lemeshow(spec, secure_sum, risk, outcome, groups)
    except NotEnoughParticipantsError as error:  # the fit is finished, and stays
        tested = HosmerLemeshow.without(fit.sites, str(error))
    return _result(spec, fit, tested)


def _result(spec: LogisticSpec, fit: GlmResult, tested: HosmerLemeshow | None) -> LogisticResult:
    null = fit.log_likelihood - (fit.null_deviance - fit.deviance) / 2
    return LogisticResult(
        outcome=spec.model()[0].names[0],
        names=fit.names,
        coef=fit.coef,
        se=fit.se,
        covariance=fit.covariance,
        statistic=fit.statistic,
        p=fit.p,
        odds_ratio=fit.ratio,
        lower=fit.ratio_lower,
        upper=fit.ratio_upper,
        log_likelihood=fit.log_likelihood,
        null_log_likelihood=null,
        likelihood_ratio=fit.likelihood_ratio,
        likelihood_ratio_p=fit.likelihood_ratio_p,
        mcfadden=1 - fit.log_likelihood / null if null < 0 else nan,
        aic=fit.aic,
        bic=fit.bic,
        df=fit.df,
        hosmer_lemeshow=tested.statistic if tested else None,
        hosmer_lemeshow_df=tested.df if tested and tested.statistic is not None else None,
        hosmer_lemeshow_p=tested.p if tested else None,
        groups=tested.groups if tested else (),
        rows=fit.rows,
        sites=fit.sites,
        warnings=(*fit.warnings, *_warnings(fit, tested)),
    )


def _warnings(fit: GlmResult, tested: HosmerLemeshow | None) -> list[str]:
    if tested is None:
        return []
    rows = sum(group.rows for group in tested.groups)
    differ = (
        f"Hosmer and Lemeshow's test covers {rows} rows, the fit {fit.rows}: the fit requires more rows of each site"
    )
    return [*tested.warnings, *([differ] if tested.groups and rows != fit.rows else [])]
