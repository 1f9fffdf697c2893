"""The common base of specifications that give a model as a formula."""

from abc import ABC
from typing import Annotated

from pydantic import Field

from participant.analyses.base.errors import SpecError
from participant.analyses.base.spec import TableSpec
from participant.statistics.language.query import MAX_COLUMNS
from participant.statistics.models.design import Category, Design, Numeric
from participant.statistics.models.formula import FormulaError, Model, parse_formula
from participant.statistics.models.variables import Variable


class FormulaSpec(TableSpec, ABC):
    """A model given as a formula.

    Attributes:
        formula: model formula, for example ``y ~ age + C(sex)`` (`participant.statistics.models.formula`).
        numbers: numeric variables of the formula with their declared ranges; values outside are clipped and counted.
        categories: categories of the formula with their levels.
    """

    formula: Annotated[str, Field(max_length=2000)]
    numbers: Annotated[tuple[Variable, ...], Field(max_length=MAX_COLUMNS)]
    categories: Annotated[tuple[Category, ...], Field(max_length=MAX_COLUMNS)] = ()

    def parsed(self) -> Model:
        """Return the parsed formula.

        Raises:
            SpecError: the formula is invalid.
        """
        known: dict[str, Variable | Category] = {one.column: one for one in self.numbers}
        known |= {one.column: one for one in self.categories}
        try:
            return parse_formula(self.formula, known)
        except FormulaError as error:
            raise SpecError(str(error)) from None

    def model(self) -> tuple[Numeric, Design]:
        """Return the outcome and the design.

        Raises:
            SpecError: the formula is invalid, or its outcome is not numeric.
        """
        model = self.parsed()
        if not isinstance(model.outcome, Numeric):
            raise SpecError("the outcome must be numeric with a declared range (0 to 1 for two classes)")
        return model.outcome, model.design
