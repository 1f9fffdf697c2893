"""Linear support vector machine on the rows of all sites, with the squared hinge loss.

With s = 2 y - 1 for the class y, 0 or 1, z the covariates and b the coefficients, the intercept b_1 among them, the
estimate minimises

    f(b) = sum of b_j^2 / 2 over j  +  cost sum over the rows of max(0, 1 - s b.z)^2

where the intercept is left out of the first sum. With `penalise_intercept` it is included, and f is the objective of
liblinear and, by default, of scikit-learn's `LinearSVC`. The penalty applies to unscaled coefficients, so bring
covariates of different spread to one scale in the formula. The minimum is unique, even with collinear covariates and
separated classes.

The fit takes Newton steps b <- b - H^-1 g with the generalised Hessian H = D + cost sum of 2 z z' over the rows within
the margin, from b = 0; each takes one or two rounds of `hinge`: if proven bounds make the sums too coarse, ranges are
found first.

Convergence: f is quadratic as long as the same rows are within the margin, so a few steps suffice. They end when the
predicted decrease, g' H^-1 g / 2, is below 1e-14 of f, or below the possible effect of rounding; that step is still
taken. A step is halved while it raises f.

Disclosure: see `participant.statistics.vocabulary.hinge`: rows, loss, gradient and curvature at the coefficients of
each step.

    analysis = "linear-svm"
    dataset = "lung"
    formula = "status ~ scale(age, 60, 10) + sex"
    numbers = [
        {column = "age", low = 18, high = 100},
        {column = "sex", low = 1, high = 2},
        {column = "status", low = 0, high = 1},
    ]
    cost = 0.1
    minimum_persons = 1
    row_limit = 1000

Sources: Mangasarian 2002, Optim Methods Softw 17:913; Keerthi, DeCoste 2005, J Mach Learn Res 6:341, for the steps; Fan
et al. 2008, J Mach Learn Res 9:1871 (liblinear).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, FiniteFloat, ValidationError

from participant.analyses.base.declared import check_binary, warn_of_outside
from participant.analyses.base.errors import ConvergenceError, NoRowsError, beyond_ranges, too_coarse
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.ranged import ranged
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.standardised import Standardised
from participant.analyses.base.symmetric import symmetric
from participant.analyses.learning.predictor import Predictor, two_classes
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import CONTINGENCY, HINGE
from participant.statistics.language.layout import Array
from participant.statistics.vocabulary.contingency import ContingencyParams
from participant.statistics.vocabulary.hinge import HingeParams

TOLERANCE = 1e-14  # predicted decrease at which the fit ends, as a share of the objective
FINE = 1e-10  # effect of rounding on a step, as a share of the objective's root, that triggers a round of ranges
COARSE = 1e-4  # such an effect above which the sums are refused
MAX_STEPS = 50
MAX_HALVINGS = 30


class LinearSvmSpec(FormulaSpec):
    """A two-class model by formula; the outcome is coded 0 and 1.

    Attributes:
        cost: weight of the loss relative to the penalty.
        penalise_intercept: whether to penalise the intercept, as in liblinear.
    """

    analysis: Literal["linear-svm"] = "linear-svm"
    cost: FiniteFloat = Field(default=1.0, gt=0)
    penalise_intercept: bool = False

    async def analyse(self, secure_sum: SecureSum) -> "LinearSvmResult":
        """Run the analysis; raises the same errors as `fit_svm`."""
        return await fit_svm(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearSvmResult(AnalysisResult):
    """The fit.

    Attributes:
        names: names of the covariates; ``1`` is the intercept.
        coef: (p,) coefficients.
        objective: objective f before the last step.
        margin: half the width between the two classes' margins, 1 / |b| without the intercept.
        within: number of support vectors, the rows within the margin or beyond it.
        rows: number of rows across all sites.
        iterations: number of evaluations of the sums.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "linear-svm"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "coef": ".6g"}

    names: tuple[str, ...]
    coef: Array
    objective: float
    margin: float | None
    within: int
    rows: int
    iterations: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each covariate."""
        return [{"name": name, "coef": float(self.coef[i])} for i, name in enumerate(self.names)]

    @property
    def title(self) -> str:
        return "Linear support vector machine"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Within the margin": self.within,
            "Margin": self.margin,
            "Objective": self.objective,
            "Iterations": self.iterations,
        }

    def notes(self) -> list[str]:
        return ["A row is classified as 1 if coef . covariates is above 0."]


class _Point(NamedTuple):
    """The sums at given coefficients: objective, gradient (p,), Hessian (p, p), and the gradient's precision."""

    b: Array
    objective: float
    gradient: Array
    hessian: Array
    gradient_error: Array
    answer: Sum

    @property
    def step(self) -> Array:
        """Newton's step; if no row is within the margin, nothing determines the intercept, so it stays unchanged."""
        return -np.linalg.lstsq(self.hessian, self.gradient, rcond=None)[0].astype(np.float64)

    @property
    def rounding(self) -> float:
        """Effect of rounding on a step, in units of the objective's root."""
        off = np.linalg.lstsq(self.hessian, self.gradient_error, rcond=None)[0]
        return sqrt(abs(float(self.gradient_error @ off)) / max(self.objective, 1e-300))


async def fit_svm(spec: LinearSvmSpec, secure_sum: SecureSum) -> LinearSvmResult:
    """Fit the machine that `spec` describes.

    Raises:
        SpecError: the formula exceeds the declared ranges, or the outcome is not coded 0 and 1.
        CodingError: some outcome is neither 0 nor 1.
        NoRowsError: there are no rows, or none of one class.
        PrecisionError, ConvergenceError: the sums are too coarse, or no step lowers the objective.
    """
    machine = _Machine(spec, secure_sum)
    await machine.check_classes()
    point = await machine.at(np.zeros(len(machine.names)))
    for _ in range(MAX_STEPS):
        if not secure_sum.below(point.rounding, COARSE):
            raise too_coarse("rounding could move the estimate")
        step = point.step
        if secure_sum.below(-float(point.gradient @ step) / 2, max(TOLERANCE, point.rounding**2) * point.objective):
            return _result(spec, machine, point, point.b + step)
        point = await _descend(machine, point, step)
    raise ConvergenceError(f"Newton's method did not converge in {MAX_STEPS} steps")


def scores(spec: LinearSvmSpec, result: LinearSvmResult) -> Predictor:
    """Return the machine's score of a row as a predictor."""
    outcome, design = spec.model()
    return Predictor(
        family="binomial",
        design=design,
        coefficients=result.coef,
        outcome=outcome,
        classes=two_classes(outcome),
        margin=True,
    )


class _Machine:
    """The sums over the sites at given coefficients of the standardised design."""

    def __init__(self, spec: LinearSvmSpec, secure_sum: SecureSum) -> None:
        self._spec = spec
        self._secure_sum = secure_sum
        self.outcome, design = spec.model()
        self._classes = two_classes(self.outcome)
        self._standard = Standardised.of(design)
        self.design, self.names = self._standard.design, self._standard.design.names
        free = np.array([name == "1" and not spec.penalise_intercept for name in self.names])
        # The penalty is that of the coefficients that were asked for, as a quadratic form in those of the sums.
        self._penalty = (self._standard.back.T * np.where(free, 0.0, 1.0)) @ self._standard.back
        self.evaluations = 0
        self.below = secure_sum.below

    def outside(self, b: Array) -> Array:
        """Return the coefficients of the design that was asked for, (p,)."""
        coefficients: Array = self._standard.back @ b
        return coefficients

    async def check_classes(self) -> None:
        params = ContingencyParams(by=(self._classes,), row_limit=self._spec.row_limit)
        query = self._spec.ask(CONTINGENCY, params, self._secure_sum.value_bits, complete=self.design.columns)
        zero, one, other = (await self._secure_sum(query)).values["counts"]
        check_binary(self.outcome.column, float(other))
        if not zero or not one:
            what = (
                "across all sites, all rows are of one class"
                if zero or one
                else "across all sites, no row meets the filter"
            )
            raise NoRowsError(f"{what}, so there is nothing to separate")

    async def at(self, b: Array) -> _Point:
        """Return the sums at `b`, within ranges if the proven bounds make them coarse."""
        self.evaluations += 1
        query = self._query(b)
        point = self._point(b, query, await self._secure_sum(query))
        fine = self.below(point.rounding, FINE)
        return point if fine else self._point(b, *await ranged(query, self._secure_sum))

    def _query(self, b: Array) -> BoundQuery:
        try:
            params = HingeParams(
                design=self.design,
                weight=None,
                coefficients=tuple(b.tolist()),
                outcome=self.outcome,
                loss="squared-hinge",
                row_limit=self._spec.row_limit,
            )
        except ValidationError as error:
            raise beyond_ranges(error) from None
        return self._spec.ask(HINGE, params, self._secure_sum.value_bits)

    def _point(self, b: Array, query: BoundQuery, answer: Sum) -> _Point:
        values, cost = answer.values, self._spec.cost
        if values["rows"] < 1:
            raise NoRowsError("across all sites, no row meets the filter and has all values")
        return _Point(
            b=b,
            objective=float(b @ self._penalty @ b / 2 + cost * values["loss"]),
            gradient=self._penalty @ b + cost * values["gradient"],
            hessian=self._penalty + cost * symmetric(values["curvature"], len(b)),
            gradient_error=cost * len(answer.sites) / 2 * query.steps["gradient"],
            answer=answer,
        )


async def _descend(machine: _Machine, point: _Point, step: Array) -> _Point:
    """Return the point after a step, halved while it raises the objective over the same sites."""
    for halving in range(MAX_HALVINGS):
        there = await machine.at(point.b + step / 2**halving)
        lost = there.answer.sites != point.answer.sites
        if lost or machine.below(there.objective, point.objective * (1 + 1e-12)):
            return there
    raise ConvergenceError("no step in Newton's direction lowers the objective")


def _result(spec: LinearSvmSpec, machine: _Machine, point: _Point, b: Array) -> LinearSvmResult:
    values, b = point.answer.values, machine.outside(b)
    length = float(np.linalg.norm([value for name, value in zip(machine.names, b, strict=True) if name != "1"]))
    columns = (*machine.design.columns, machine.outcome.column)
    return LinearSvmResult(
        names=machine.names,
        coef=b,
        objective=point.objective,
        margin=1 / length if length else None,
        within=round(float(values["active"])),
        rows=round(float(values["rows"])),
        iterations=machine.evaluations,
        sites=point.answer.sites,
        warnings=(
            *spec.warn_of_withheld(values, of_model=True),
            *warn_of_outside(columns, values["outside"]),
        ),
    )
