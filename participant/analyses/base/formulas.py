"""What the specifications of models by formula have in common."""

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
    """A model as a formula.

    Attributes:
        formula: such as ``y ~ age + C(sex)`` (`participant.statistics.models.formula`).
        numbers: numeric variables that it names, with their declared ranges; values outside are moved there, counted.
        categories: categories that it names, with their levels.
    """

    formula: Annotated[str, Field(max_length=2000)]
    numbers: Annotated[tuple[Variable, ...], Field(max_length=MAX_COLUMNS)]
    categories: Annotated[tuple[Category, ...], Field(max_length=MAX_COLUMNS)] = ()

    def parsed(self) -> Model:
        """Return what the formula says.

        Raises:
            SpecError: the formula is wrong.
        """
        known: dict[str, Variable | Category] = {one.column: one for one in self.numbers}
        known |= {one.column: one for one in self.categories}
        try:
            return parse_formula(self.formula, known)
        except FormulaError as error:
            raise SpecError(str(error)) from None

    def model(self) -> tuple[Numeric, Design]:
        """Return outcome and design.

        Raises:
            SpecError: the formula is wrong, or its outcome is no number.
        """
        model = self.parsed()
        if not isinstance(model.outcome, Numeric):
            raise SpecError("the outcome is a number with a declared range; that of two classes is 0 to 1")
        return model.outcome, model.design
