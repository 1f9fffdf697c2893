"""Analyses of a model's predictions: the specification contains the table `model`, which is fitted first or given."""

import json
from abc import ABC
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, FiniteFloat, JsonValue, ValidationError, model_validator

from participant.analyses.base.errors import SpecError
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.learning.naive_bayes import NaiveBayesSpec, fit_naive_bayes, log_odds
from participant.analyses.learning.predictor import Predictor, two_classes
from participant.analyses.learning.svm import LinearSvmSpec, fit_svm, scores
from participant.analyses.regression.glm import GlmSpec, fit_glm
from participant.statistics.language.layout import Array
from participant.statistics.language.query import in_words
from participant.statistics.models.families import FamilyName
from participant.statistics.models.variables import Variable

_SAID_OUTSIDE = ("dataset", "filter", "minimum_persons", "row_limit", "value_bits")


class GivenSpec(FormulaSpec):
    """A model with given coefficients, for example a published score.

    Attributes:
        family: family of the outcome.
        alpha: overdispersion of the negative binomial.
        coefficients: coefficient of each covariate in the formula's order, intercept first.
    """

    analysis: Literal["given"] = "given"
    family: FamilyName = "binomial"
    alpha: FiniteFloat = Field(default=0.0, ge=0)
    coefficients: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]

    async def analyse(self, secure_sum: SecureSum) -> AnalysisResult:  # noqa: ARG002 - of a specification
        """Raise SpecError, since there is nothing to estimate."""
        raise SpecError("a given model is not an analysis by itself; use it as the model of roc or cross-validation")


_MODELS: tuple[type[TableSpec], ...] = (GlmSpec, GivenSpec, LinearSvmSpec, NaiveBayesSpec)


class PredictiveSpec(TableSpec, ABC):
    """Analysis of the predictions of a model.

    Attributes:
        model: table with `analysis = "glm"`, `"naive-bayes"`, `"linear-svm"`, or `"given"` with
            `coefficients`. Dataset, filter, limits and floor belong outside it.
    """

    model: dict[str, JsonValue]

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        match self.inner():
            case GlmSpec(offset=Variable()):
                raise ValueError("model: a model with an offset makes no predictions of its own; leave the offset out")
            case NaiveBayesSpec(outcome=outcome) if len(outcome.levels) != 2:
                raise ValueError(f"model: {outcome.column} has {len(outcome.levels)} classes, but must have two")
        return self

    def inner(self) -> TableSpec:
        """Return the specification of the model, over the same rows."""
        if twice := [name for name in _SAID_OUTSIDE if name in self.model]:
            raise ValueError(f"{', '.join(twice)}: give these outside the model only")
        outside = self.model_dump(mode="json", include=set(_SAID_OUTSIDE))
        known = {spec.model_fields["analysis"].default: spec for spec in _MODELS}
        name = self.model.get("analysis")
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"model: analysis = {name!r} is unknown; use one of {', '.join(sorted(known))}")
        try:
            return known[name].model_validate_json(json.dumps(outside | self.model))
        except ValidationError as error:
            raise ValueError(f"model: {in_words(error)}") from None


async def fitted(spec: TableSpec, secure_sum: SecureSum) -> Predictor:
    """Return the predictor of a model, which is fitted unless given.

    Raises:
        SpecError: the model has no linear predictor of two classes or a number.
        AnalysisError: the model cannot be fitted.
    """
    match spec:
        case GlmSpec():
            return _of_formula(spec, (await fit_glm(spec, secure_sum)).coef)
        case GivenSpec():
            return _of_formula(spec, np.array(spec.coefficients))
        case NaiveBayesSpec():
            return log_odds(spec, await fit_naive_bayes(spec, secure_sum))
        case LinearSvmSpec():
            return scores(spec, await fit_svm(spec, secure_sum))
    raise AssertionError(spec.analysis)


def columns_of(spec: TableSpec) -> tuple[str, ...]:
    """Return the columns that a model reads, including the outcome's."""
    if isinstance(spec, NaiveBayesSpec):
        return spec.columns
    assert isinstance(spec, FormulaSpec)
    outcome, design = spec.model()
    return tuple(dict.fromkeys((*design.columns, outcome.column)))


def _of_formula(spec: GlmSpec | GivenSpec, coefficients: Array) -> Predictor:
    outcome, design = spec.model()
    if len(coefficients) != len(design.names):
        raise SpecError(f"give one coefficient for each of {', '.join(design.names)}; there are {len(coefficients)}")
    return Predictor(
        family=spec.family,
        alpha=spec.alpha,
        design=design,
        coefficients=coefficients,
        outcome=outcome,
        classes=two_classes(outcome) if spec.family == "binomial" else None,
    )
