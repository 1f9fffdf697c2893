"""Naive Bayes on the rows of all sites: normal numbers and multinomial categories, independent within each class.

With n_c of the n rows in class c, and n_cl of them with level l of a category of L levels:

    prior        p_c  = n_c / n
    numbers      m_cj = mean,  v_cj = mean of (x_j - m_cj)^2 + e,   e = `variance_floor` max_j var(x_j)
    categories   q_cl = (n_cl + s) / (n_c + s L),                   s = `smoothing`

    log odds     of the second of two classes:  log p_2 / p_1 + sum of differences of log densities

as in scikit-learn's `GaussianNB` and `CategoricalNB` on one pooled table. A class that only one site has counts like
any other. The analysis fails if no site has rows of some class, or if no number varies.

One round of `contingency` for each category, and one of `class-moments` if there are numbers; nothing
iterates. If a site is lost, the analysis starts over. Disclosure: that of these statistics: rows, means
and variances of each class. A site leaves out cells of fewer than `minimum_persons` rows, and cells that one row
dominates, according to `dominance`; a warning says so.

    analysis = "naive-bayes"
    dataset = "lung"
    outcome = {column = "status", levels = [0, 1]}
    numbers = [{column = "age", low = 18, high = 100}]
    categories = [{column = "sex", levels = [1, 2]}]
    row_limit = 1000

Sources: Hastie, Tibshirani, Friedman 2009, "The elements of statistical learning", section 6.6.3; Chan, Golub, LeVeque
1983 for variances from sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.declared import levels_of, warn_of_other_codes, warn_of_outside
from participant.analyses.base.errors import CollinearityError, NoRowsError, SpecError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import TableSpec
from participant.analyses.learning.predictor import Predictor, indicator
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import CLASS_MOMENTS, CONTINGENCY
from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_COLUMNS
from participant.statistics.models.design import Category, Coding, Design, Numeric, Power
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.class_moments import ClassMomentsParams
from participant.statistics.vocabulary.contingency import ContingencyParams


class NaiveBayesSpec(TableSpec):
    """A classifier's classes and predictors.

    Attributes:
        outcome: category of the classes.
        numbers: numeric variables with their ranges.
        categories: categories with their levels.
        smoothing: number of rows added to each level of a category in each class.
        variance_floor: share of the largest variance of a number, added to every variance.
        dominance: share of a cell's sum above which one row dominates the cell, and the site leaves it out; 1 for
            never.
    """

    analysis: Literal["naive-bayes"] = "naive-bayes"
    outcome: Category
    numbers: Annotated[tuple[Variable, ...], Field(max_length=MAX_COLUMNS)] = ()
    categories: Annotated[tuple[Category, ...], Field(max_length=MAX_COLUMNS)] = ()
    smoothing: FiniteFloat = Field(default=1.0, gt=0)
    variance_floor: FiniteFloat = Field(default=1e-9, ge=0)
    dominance: FiniteFloat = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.columns[1:]:
            raise ValueError("naive Bayes needs a number or a category")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("a column is listed twice; list each once")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in which a row must be complete, the outcome's first."""
        read = [self.outcome.column, *(one.column for one in self.numbers), *(one.column for one in self.categories)]
        return tuple(read)

    async def analyse(self, secure_sum: SecureSum) -> "NaiveBayesResult":
        """Run the analysis; raises the same errors as `fit_naive_bayes`."""
        return await over_one_cohort(partial(fit_naive_bayes, self), secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NaiveBayesResult(AnalysisResult):
    """The fit over k classes, p numbers and the categories.

    Attributes:
        classes: names of the classes.
        prior: (k,) prior probabilities.
        numbers: names of the numbers.
        mean, variance: (k, p) means, and variances including the addition e.
        levels: names of the levels of each category.
        probability: for each category, the probability of each level, (k, L).
        counts: (k,) number of rows of each class.
        rows: number of rows across all sites.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "naive-bayes"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "variable": "",
        "mean": ".6g",
        "sd": ".6g",
        "probability": ".4f",
    }

    classes: tuple[str, ...]
    prior: Array
    numbers: tuple[str, ...]
    mean: Array
    variance: Array
    levels: tuple[tuple[str, ...], ...]
    probability: tuple[Array, ...]
    counts: Array
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return, for each class, a row with its prior, then one for each number and each level of a category."""
        empty = {"mean": None, "sd": None, "probability": None}
        rows = []
        for c, name in enumerate(self.classes):
            rows.append(empty | {"name": name, "variable": "", "probability": float(self.prior[c])})
            rows += [
                empty
                | {"name": name, "variable": number, "mean": float(self.mean[c, j])}
                | {"sd": float(np.sqrt(self.variance[c, j]))}
                for j, number in enumerate(self.numbers)
            ]
            rows += [
                empty | {"name": name, "variable": level, "probability": float(probability[c, place])}
                for levels, probability in zip(self.levels, self.probability, strict=True)
                for place, level in enumerate(levels)
            ]
        return rows

    @property
    def title(self) -> str:
        return "Naive Bayes"

    def facts(self) -> dict[str, Any]:
        return {"Rows": self.rows, "Classes": len(self.classes)}

    def notes(self) -> list[str]:
        return ["The first row of each class is its prior probability."]


async def fit_naive_bayes(spec: NaiveBayesSpec, secure_sum: SecureSum) -> NaiveBayesResult:
    """Fit the classes that `spec` describes.

    Raises:
        NoRowsError: there are no rows, or none of some class.
        CollinearityError: a number is constant, and nothing is added to the variances.
    """
    answers = [await secure_sum(query) for query in _queries(spec, secure_sum.value_bits)]
    sums, moments = answers[: len(spec.categories)], answers[-1] if spec.numbers else None
    tables = [answer.values["counts"] for answer in sums]
    counts = _counts(spec, moments.values["counts"] if moments else tables[0].sum(axis=1))
    mean, variance = _normal(spec, moments.values, counts) if moments else (np.zeros((len(counts), 0)),) * 2
    smoothed = [table[:-1, :-1] + spec.smoothing for table in tables]
    return NaiveBayesResult(
        classes=levels_of(spec.outcome),
        prior=counts / counts.sum(),
        numbers=tuple(one.column for one in spec.numbers),
        mean=mean,
        variance=variance,
        levels=tuple(levels_of(category) for category in spec.categories),
        probability=tuple(table / table.sum(axis=1, keepdims=True) for table in smoothed),
        counts=counts,
        rows=round(float(counts.sum())),
        sites=answers[0].sites,
        warnings=tuple(dict.fromkeys(_warnings(spec, sums, moments))),
    )


def log_odds(spec: NaiveBayesSpec, result: NaiveBayesResult) -> Predictor:
    """Return the log odds of the second class as a predictor: squares of the numbers, indicators of the levels.

    Raises:
        SpecError: the number of classes is not two, or the declared ranges are too wide for the squares.
    """
    if len(spec.outcome.levels) != 2:
        raise SpecError(f"{spec.outcome.column} has {len(spec.outcome.levels)} classes; an ROC curve needs two")
    terms: list[tuple[Numeric | Coding, ...]] = [()]
    m, v = result.mean, result.variance
    constant = np.log(result.prior[1] / result.prior[0])
    constant += ((np.log(v[0] / v[1]) + m[0] ** 2 / v[0] - m[1] ** 2 / v[1]) / 2).sum()
    coefficients = [constant]
    for j, variable in enumerate(spec.numbers):
        plain = variable.model_dump()
        terms += [(Numeric(**plain),), (Numeric(**plain, function=Power(exponent=2)),)]
        coefficients += [m[1, j] / v[1, j] - m[0, j] / v[0, j], (1 / v[0, j] - 1 / v[1, j]) / 2]
    for category, probability in zip(spec.categories, result.probability, strict=True):
        terms.append((Coding(column=category.column, levels=category.levels, reference=None),))
        coefficients += np.log(probability[1] / probability[0]).tolist()
    return Predictor(
        family="binomial",
        design=Design(terms=tuple(terms)),
        coefficients=np.array(coefficients),
        outcome=indicator(spec.outcome),
        classes=spec.outcome,
    )


def _queries(spec: NaiveBayesSpec, value_bits: int) -> list[BoundQuery]:
    """Return a query for each category, then one for the numbers, if any; all cover the same rows."""
    of_levels = [
        ContingencyParams(by=(spec.outcome, category), row_limit=spec.row_limit) for category in spec.categories
    ]
    queries = [spec.ask(CONTINGENCY, params, value_bits, complete=spec.columns) for params in of_levels]
    if spec.numbers:
        of_numbers = ClassMomentsParams(
            by=(spec.outcome,),
            variables=tuple(Numeric(**one.model_dump()) for one in spec.numbers),
            dominance=spec.dominance,
            row_limit=spec.row_limit,
        )
        queries.append(spec.ask(CLASS_MOMENTS, of_numbers, value_bits, complete=spec.columns))
    return queries


def _counts(spec: NaiveBayesSpec, cells: Array) -> Array:
    """Return the number of rows of each class, (k,); the last of `cells` is for other codes."""
    counts = cells[:-1]
    hidden = f"; sites hide cells of fewer than {spec.minimum_persons} rows" if spec.minimum_persons > 1 else ""
    if not counts.any():
        raise NoRowsError(
            f"across all sites, no row meets the filter, has all values and belongs to a declared class{hidden}"
        )
    absent = [name for name, count in zip(levels_of(spec.outcome), counts, strict=True) if not count]
    if absent:
        raise NoRowsError(f"across all sites, no row is of {', '.join(absent)}; leave the level out{hidden}")
    return counts


def _normal(spec: NaiveBayesSpec, sums: Mapping[str, Array], counts: Array) -> tuple[Array, Array]:
    """Return means and variances of the numbers in each class, (k, p) each."""
    first, second = sums["sums"][:, :-1], sums["squares"][:, :-1]
    middles = np.array([one.low + (one.high - one.low) / 2 for one in spec.numbers])
    mean = (first / counts).T
    variance = np.maximum((second / counts).T - mean**2, 0.0)
    overall = second.sum(axis=1) / counts.sum() - (first.sum(axis=1) / counts.sum()) ** 2
    added = spec.variance_floor * float(overall.max())
    half = np.array([(one.high - one.low) / 2 for one in spec.numbers])
    flat = np.flatnonzero((variance + added <= 1e-15 * half**2).any(axis=0))  # what rounding leaves of a zero variance
    if flat.size:
        names = [spec.numbers[j].column for j in flat]
        raise CollinearityError(names, "constant in some class, which then excludes every other value; leave it out")
    return mean + middles, variance + added


def _warnings(spec: NaiveBayesSpec, sums: list[Sum], moments: Sum | None) -> list[str]:
    found: list[str] = []
    for category, answer in zip(spec.categories, sums, strict=True):
        found += spec.warn_of_withheld(answer.values)
        found += warn_of_other_codes((spec.outcome, category), answer.values["counts"])
    if moments:
        found += spec.warn_of_withheld(moments.values)
        found += warn_of_other_codes((spec.outcome,), moments.values["counts"])
        found += warn_of_outside((one.column for one in spec.numbers), moments.values["outside"])
        if dominated := round(float(moments.values["dominated"])):
            found.append(f"{dominated} classes were left out at a site because one row dominated them")
    return found
