"""ROC curve and calibration of predictions on the rows of all sites, by secure histograms.

The model is fitted first, or given, for example a published score to be validated. Its predictions never leave a
site: they are counted in about `bins` bins by class, which adapt to the predictions (`curve` has the formulas). For
probabilities, the result also contains calibration in `groups` groups of about equal size, merged from the bins, with
mean prediction and share of events; intercept and slope of calibration; and log loss (`deviance`). On the rows that the
model was fitted to, intercept and slope are 0 and 1 by construction, and the curve is too optimistic; for unbiased
ones, see `cross-validation`.

Rounds: those of the fit, one to four for the histogram, one for the loss, about four for the calibration. Only fit and
calibration iterate. If a site is lost, the analysis starts over. Disclosure: rows and mean predictions in each bin; a
site hides bins of fewer than `minimum_persons` rows, so with small sites, fewer bins show more. A warning says what was
hidden.

    analysis = "roc"
    dataset = "lung"
    bins = 20
    minimum_persons = 1
    row_limit = 1000
    [model]
    analysis = "glm"
    formula = "status ~ age + sex"
    family = "binomial"
    numbers = [
        {column = "age", low = 18, high = 100},
        {column = "sex", low = 1, high = 2},
        {column = "status", low = 0, high = 1},
    ]

Sources: those of `curve` and `deviance`; Hosmer, Lemeshow 1980, Commun Stat A 9:1043, for groups.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.text_table import text_table
from participant.analyses.learning.curve import adapted_curve, complete
from participant.analyses.learning.deviance import Calibration, calibrate, mean_deviance
from participant.analyses.learning.predictive import PredictiveSpec, fitted
from participant.statistics.language.layout import Array
from participant.statistics.models.special import ndtri
from participant.statistics.vocabulary.histogram import MAX_EDGES


class RocSpec(PredictiveSpec):
    """A model, and the bins for its predictions.

    Attributes:
        bins: even number of bins of the predicted probability, about as many as the result has.
        groups: number of groups of about equal size, for calibration.
    """

    analysis: Literal["roc"] = "roc"
    bins: int = Field(default=20, ge=2, le=MAX_EDGES, multiple_of=2)
    groups: int = Field(default=10, ge=1, le=100)

    async def analyse(self, secure_sum: SecureSum) -> "RocResult":
        """Run the analysis; raises the same errors as `assess`."""
        return await over_one_cohort(partial(assess, self), secure_sum)


@dataclass(frozen=True, slots=True)
class ScoreGroup:
    """Rows with similar predictions: their number, mean prediction, and share of the predicted class."""

    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RocResult(AnalysisResult):
    """The ROC curve. Arrays are (B + 1,), at the thresholds from 0 to 1.

    Attributes:
        threshold: thresholds of the predicted probability; for a score, of its logistic function.
        sensitivity, specificity: values if rows above the threshold are classified as positive.
        auc, auc_se, auc_lower, auc_upper: area of the binned curve, its standard error and 95 % interval.
        auc_bounds: bounds on the area for the raw predictions.
        accuracy: accuracy at the threshold one half.
        log_loss: mean negative log-likelihood, or None for a score.
        calibration: intercept and slope; None for a score, and if they cannot be estimated.
        groups: calibration groups; empty for a score.
        events, rows: numbers of rows of the predicted class, and in total.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "roc"
    formats: ClassVar[Mapping[str, str]] = {"threshold": ".3f", "sensitivity": ".4f", "specificity": ".4f"}

    threshold: Array
    sensitivity: Array
    specificity: Array
    auc: float
    auc_se: float
    auc_lower: float
    auc_upper: float
    auc_bounds: tuple[float, float]
    accuracy: float
    log_loss: float | None
    calibration: Calibration | None
    groups: tuple[ScoreGroup, ...]
    events: int
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each threshold."""
        columns = zip(self.threshold, self.sensitivity, self.specificity, strict=True)
        return [
            {"threshold": float(at), "sensitivity": float(above), "specificity": float(below)}
            for at, above, below in columns
        ]

    @property
    def title(self) -> str:
        return "ROC curve and calibration"

    def facts(self) -> dict[str, Any]:
        found = {
            "Rows": self.rows,
            "Events": self.events,
            "AUC": self.auc,
            "95 % interval": f"{self.auc_lower:.4f} to {self.auc_upper:.4f}",
            "Unbinned AUC": f"{self.auc_bounds[0]:.4f} to {self.auc_bounds[1]:.4f}",
            "Accuracy": self.accuracy,
            "Log loss": self.log_loss,
        }
        if self.calibration:
            found |= {
                "Calibration intercept": f"{self.calibration.intercept:.4f} (SE {self.calibration.intercept_se:.4f})",
                "Calibration slope": f"{self.calibration.slope:.4f} (SE {self.calibration.slope_se:.4f})",
            }
        return found

    def notes(self) -> list[str]:
        rows = [{"rows": one.rows, "predicted": one.predicted, "observed": one.observed} for one in self.groups]
        return text_table(rows, {"rows": "d", "predicted": ".4f", "observed": ".4f"}) if rows else []


async def assess(spec: RocSpec, secure_sum: SecureSum) -> RocResult:
    """Assess the model that `spec` describes.

    Raises:
        SpecError: the outcome does not have two classes, or the model exceeds the declared ranges.
        NoRowsError: a class has no rows.
        AnalysisError: the model cannot be fitted.
    """
    predictor = await fitted(spec.inner(), secure_sum)
    curve = complete(await adapted_curve(spec, predictor, spec.bins, secure_sum), spec)
    warnings, log_loss, calibration = list(curve.warnings), None, None
    if not predictor.margin:
        loss = await mean_deviance(spec, predictor, secure_sum)
        warnings, log_loss = [*warnings, *loss.warnings], loss.deviance / 2
        calibration = await calibrate(spec, predictor, secure_sum)
    margin = float(ndtri(0.975)) * curve.auc_se
    return RocResult(
        threshold=curve.thresholds,
        sensitivity=curve.sensitivity,
        specificity=curve.specificity,
        auc=curve.auc,
        auc_se=curve.auc_se,
        auc_lower=max(curve.auc - margin, 0.0),
        auc_upper=min(curve.auc + margin, 1.0),
        auc_bounds=curve.auc_bounds,
        accuracy=curve.accuracy,
        log_loss=log_loss,
        calibration=calibration,
        groups=() if predictor.margin else tuple(_grouped(curve.counts, curve.sums.sum(axis=0), spec.groups)),
        events=round(float(curve.counts[1].sum())),
        rows=curve.rows,
        sites=curve.sites,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _grouped(counts: Array, sums: Array, groups: int) -> list[ScoreGroup]:
    """Return neighbouring bins merged into at most `groups` groups of about equal size."""
    rows = counts.sum(axis=0)
    middle = (rows.cumsum() - rows / 2) / rows.sum()
    group = np.minimum((middle * groups).astype(np.intp), groups - 1)
    found = []
    for one in np.unique(group[rows > 0]):
        inside = group == one
        many = float(rows[inside].sum())
        share = float(counts[1, inside].sum()) / many
        found.append(ScoreGroup(round(many), float(sums[inside].sum()) / many, share))
    return found
