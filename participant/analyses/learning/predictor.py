"""Predictors: fitted models as linear predictors in covariates that every site can compute.

However a model was fitted, its linear predictor allows it to be assessed on any rows by the sums that regressions use:
its deviance by `glm-score`, its ROC curve and calibration by `histogram`. No row leaves its site.
"""

from dataclasses import dataclass

import numpy as np

from participant.analyses.base.errors import SpecError
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Category, Design, Indicator, Numeric
from participant.statistics.models.families import FamilyName


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictor:
    """A fitted model.

    Attributes:
        family: family whose mean the linear predictor yields; `binomial` also for a score without probabilities, as its
            mean preserves the order of rows.
        alpha: overdispersion of the negative binomial, otherwise 0.
        design, coefficients: covariates, and the coefficient of each.
        outcome: predicted quantity; 0 or 1 for two classes.
        classes: column of the outcome with its two codes, the predicted one last; None if the outcome is a number.
        margin: whether the linear predictor is a score whose sign is the class, rather than a logit.
    """

    family: FamilyName
    design: Design
    coefficients: Array
    outcome: Numeric
    classes: Category | None
    alpha: float = 0.0
    margin: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the model reads, including the outcome's."""
        return tuple(dict.fromkeys((*self.design.columns, self.outcome.column)))


def two_classes(outcome: Numeric) -> Category:
    """Return the classes of an outcome coded 0 and 1.

    Raises:
        SpecError: the outcome is coded differently.
    """
    if outcome != Numeric(column=outcome.column, low=0, high=1):
        raise SpecError(f"the outcome {outcome.column} must be coded 0 and 1, with the range 0 to 1")
    return Category(column=outcome.column, levels=(0.0, 1.0))


def indicator(classes: Category) -> Numeric:
    """Return the outcome that is 1 for the last class and 0 for the first."""
    low, high = min(classes.levels), max(classes.levels)
    return Numeric(column=classes.column, low=low, high=high, function=Indicator(op="==", value=classes.levels[-1]))


def joined(parts: list[tuple[Design, Array]]) -> tuple[Design, Array]:
    """Return the sum of several linear predictors as a single one."""
    terms = tuple(term for design, _ in parts for term in design.terms)
    return Design(terms=terms), np.concatenate([coefficients for _, coefficients in parts])
