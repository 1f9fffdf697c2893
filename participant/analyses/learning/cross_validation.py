"""Cross-validation of a predictive model on the rows of all sites.

The rows are divided into folds by their own values (`folds`), exactly as in one pooled table. For each fold, the model
is fitted to the rows of all other folds (a generalised linear model, naive Bayes for two classes, or a linear support
vector machine), and assessed on the rows of the fold:

    deviance   mean deviance of a row, by family: the mean squared error for the gaussian
    log loss   for two classes: half of that
    accuracy   share of rows whose class is predicted correctly, at the threshold one half
    AUC        area under the ROC curve, binned (`curve`); for all folds, from their rows in one histogram

Support vector machines predict no probability, so they have no deviance. The last line covers all folds: deviance and
accuracy over all their rows.

Rounds: for each fold, those of the fit and two more. If a site is lost, the analysis starts over, so all folds cover
the same rows. Convergence is that of the fits. A fold that cannot be fitted, or lacks a class, raises an error that
names it.

Disclosure: that of the fits and histograms, for each fold. Two fits differ by two folds. A fit and one of all rows
differ by one fold, so the difference of their sums is a sum over that fold, which has at least about a twentieth of the
rows. A site checks every query against `minimum_persons`, and their differences against its ledger. With small sites,
use few folds.

    analysis = "cross-validation"
    dataset = "lung"
    folds = {of = 3}
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

Source: Stone 1974, J R Stat Soc B 36:111; Hastie, Tibshirani, Friedman 2009, section 7.10.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial, reduce
from operator import add
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.errors import AnalysisError, CodingError, FoldError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.learning.curve import Curve, adapted_curve, complete, curve_of
from participant.analyses.learning.deviance import Loss, mean_deviance
from participant.analyses.learning.folds import Folds
from participant.analyses.learning.predictive import PredictiveSpec, columns_of, fitted
from participant.statistics.vocabulary.histogram import MAX_EDGES


class CrossValidationSpec(PredictiveSpec):
    """A model and its validation.

    Attributes:
        folds: division of the rows into folds.
        bins: even number of bins of the predicted probability, for the ROC curves; they adapt to the first fold.
    """

    analysis: Literal["cross-validation"] = "cross-validation"
    folds: Folds = Folds()
    bins: int = Field(default=20, ge=2, le=MAX_EDGES, multiple_of=2)

    async def analyse(self, secure_sum: SecureSum) -> "CrossValidationResult":
        """Run the analysis; raises the same errors as `cross_validate`."""
        return await over_one_cohort(partial(cross_validate, self), secure_sum)


@dataclass(frozen=True, slots=True)
class FoldResult:
    """A model's performance on rows that it was not fitted to; None for measures that do not apply."""

    rows: int
    deviance: float | None
    accuracy: float | None
    auc: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrossValidationResult(AnalysisResult):
    """The cross-validated performance.

    Attributes:
        model: name of the model's analysis.
        folds: result of each fold.
        total: result over all folds.
        log_loss: log loss over all folds, for two classes.
        auc_bounds: bounds on the area for the raw predictions, for two classes.
        threshold: edges of the bins, from 0 to 1; none without classes.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "cross-validation"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "rows": "d",
        "deviance": ".6g",
        "accuracy": ".4f",
        "auc": ".4f",
    }

    model: str
    folds: tuple[FoldResult, ...]
    total: FoldResult
    log_loss: float | None
    auc_bounds: tuple[float, float] | None
    threshold: tuple[float, ...]
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each fold, and one for all folds."""
        named = [*((f"fold {number}", fold) for number, fold in enumerate(self.folds)), ("all", self.total)]
        return [{"name": name} | asdict(fold) for name, fold in named]

    @property
    def title(self) -> str:
        return "Cross-validation"

    def facts(self) -> dict[str, Any]:
        bounds = "-" if self.auc_bounds is None else f"{self.auc_bounds[0]:.4f} to {self.auc_bounds[1]:.4f}"
        return {
            "Model": self.model,
            "Folds": len(self.folds),
            "Rows": self.total.rows,
            "Log loss": self.log_loss,
            "Unbinned AUC": bounds,
        }


class _Assessed(NamedTuple):
    """A fold's sums: its loss, unless the model yields a score, and its curve, if there are two classes."""

    loss: Loss | None
    curve: Curve | None

    @property
    def warnings(self) -> tuple[str, ...]:
        return (self.loss.warnings if self.loss else ()) + (self.curve.warnings if self.curve else ())

    @property
    def fold(self) -> FoldResult:
        curve = self.curve
        both = curve is not None and curve.counts.sum(axis=1).all()
        return FoldResult(
            rows=self.loss.rows if self.loss else curve.rows if curve else 0,
            deviance=self.loss.deviance if self.loss else None,
            accuracy=curve.accuracy if curve and curve.rows else None,
            auc=curve.auc if curve and both else None,
        )


async def cross_validate(spec: CrossValidationSpec, secure_sum: SecureSum) -> CrossValidationResult:
    """Validate the model that `spec` describes.

    Raises:
        SpecError: the model predicts more than two classes, or its predictions exceed the declared ranges.
        FoldError: a fold cannot be fitted or assessed.
        NoRowsError: all folds together lack rows of some class.
    """
    assessed: list[_Assessed] = []
    for number in range(spec.folds.of):
        try:
            before = assessed[0].curve if assessed else None
            assessed.append(await _assess(spec, number, before, secure_sum))
        except CodingError:  # of all rows, not of a fold
            raise
        except AnalysisError as error:
            raise FoldError(f"fold {number}: {error}") from error
    curves = [one.curve for one in assessed if one.curve]
    losses = [one.loss for one in assessed if one.loss]
    curve = complete(reduce(add, curves), spec) if curves else None
    rows = sum(one.rows for one in losses)
    deviance = sum(one.rows * one.deviance for one in losses) / rows if rows else None
    total = FoldResult(
        rows=rows or (curve.rows if curve else 0),
        deviance=deviance,
        accuracy=curve.accuracy if curve else None,
        auc=curve.auc if curve else None,
    )
    return CrossValidationResult(
        model=spec.inner().analysis,
        folds=tuple(one.fold for one in assessed),
        total=total,
        log_loss=deviance / 2 if curve and deviance is not None else None,
        auc_bounds=curve.auc_bounds if curve else None,
        threshold=tuple(curve.thresholds.tolist()) if curve else (),
        sites=(losses or curves)[-1].sites,
        warnings=tuple(f"fold {number}: {text}" for number, one in enumerate(assessed) for text in one.warnings),
    )


async def _assess(spec: CrossValidationSpec, number: int, before: Curve | None, secure_sum: SecureSum) -> _Assessed:
    """Fit the model to the rows of all other folds, and assess it on those of this one, in the bins of `before`."""
    model = spec.inner()
    columns = columns_of(model)
    predictor = await fitted(model.narrowed(spec.folds.training(number, columns)), secure_sum)
    rows = spec.narrowed(spec.folds.test(number, columns))
    loss = None if predictor.margin else await mean_deviance(rows, predictor, secure_sum)
    if not predictor.classes:
        return _Assessed(loss, None)
    if before is None:
        return _Assessed(loss, await adapted_curve(rows, predictor, spec.bins, secure_sum))
    return _Assessed(loss, await curve_of(rows, predictor, before.edges, secure_sum))
