"""The review of a plan: possible disclosures about small groups of people, and each task in plain words.

The coordinator runs this code before proposing a plan, and a site's officer before agreeing to it. It reads only the
plan; `review_rows` also checks the plan against a site's own rows, for that site alone. A plan without findings is not
proven safe: the review recognises only known patterns that single out persons.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from participant.analyses.base.errors import SpecError
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.spec import SurvivalSpec, TableSpec
from participant.analyses.descriptive.histogram import HistogramSpec
from participant.analyses.hypothesis.rank_test import RankTestSpec
from participant.analyses.hypothesis.signed_rank import SignedRankSpec
from participant.analyses.learning.federated_training import FederatedTrainingSpec, Zeros
from participant.analyses.learning.imputation import ImputationSpec
from participant.analyses.learning.k_means import KMeansSpec
from participant.analyses.learning.predictive import GivenSpec, PredictiveSpec
from participant.analyses.survival.cox import CoxSpec
from participant.statistics.evaluation.describe import InWords, describe
from participant.statistics.language.conditions import Condition, comparisons, in_words, meets
from participant.statistics.language.statistic import ROWS_PER_PARAMETER, Columns
from participant.statistics.models.basis import Basis, Splines
from participant.statistics.models.design import Indicator, Numeric, Power
from participant.study.asks import columns_of, first_query, statistics_of
from participant.study.plan import NamedSpec, PlanError
from participant.study.terms import ProjectTerms, TermsError
from secagg.errors import ParameterError

Severity = Literal["serious", "notice"]

PERSONS_PER_PARAMETER = 10
PERSONS_PER_CELL = 10
HIGH_POWER = 3.0
LOW_FLOOR = 3
MANY_RELEASES = 10


class Finding(NamedTuple):
    """A point that a plan's reader should consider: where, how serious, and why."""

    severity: Severity
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.severity:<8} {self.place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class TaskInWords:
    """A task in words: its first question, the rows that it covers, and what it may ask later."""

    name: str
    analysis: str
    first: InWords
    columns: tuple[str, ...]
    statistics: tuple[str, ...]
    releases: int

    def facts(self) -> dict[str, Any]:
        """Return the task as plain values."""
        return {
            "name": self.name,
            "analysis": self.analysis,
            "rows": self.first.rows,
            "floor": self.first.floor,
            "tells": self.first.tells,
            "columns": list(self.columns),
            "statistics": list(self.statistics),
            "releases": self.releases,
        }

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.analysis}, started at most {self.releases} times\n"
            f"  {self.first.rows} {self.first.floor}\n"
            f"  columns {', '.join(self.columns)}; statistics {', '.join(self.statistics)}\n"
            f"  {self.first.tells}"
        )


def code_of(terms: ProjectTerms) -> str:
    """Return the code of a plan and its terms, with which an officer confirms having read them.

    Its 160 bits make two plans of one code infeasible to find (2^80 tries): with a short code, a coordinator could show
    one plan and have another agreed to.
    """
    digest = sha256(terms.encode()).hexdigest()
    return "-".join(digest[at : at + 4] for at in range(0, 40, 4))


def check(terms: ProjectTerms) -> None:
    """Check that every task of a plan can begin, within the terms.

    Raises:
        PlanError: a task has an invalid formula, or needs a column or statistic that the terms lack; the message says
            where.
    """
    for place, (_, spec) in enumerate(_tasks(terms)):
        for what, named, asked in (
            ("columns", terms.columns, columns_of(spec)),
            ("statistics", terms.statistics, statistics_of(spec)),
        ):
            if beyond := sorted(asked - set(named)):
                raise PlanError(f"tasks[{place}]: the terms do not include the {what} {', '.join(beyond)}")
        try:
            terms.check(first_query(spec, _VALUE_BITS, pooled=terms.pooled).query)
        except (TermsError, SpecError) as error:
            raise PlanError(f"tasks[{place}]: {error}") from None


def tasks_in_words(terms: ProjectTerms) -> tuple[TaskInWords, ...]:
    """Return each task of a plan in words; raises the same errors as `check`."""
    check(terms)
    found = []
    for task, (name, spec) in zip(terms.plan.tasks if terms.plan else (), _tasks(terms), strict=True):
        query = first_query(spec, _VALUE_BITS, pooled=terms.pooled)
        columns, statistics = tuple(sorted(columns_of(spec))), tuple(sorted(statistics_of(spec)))
        found.append(TaskInWords(name, spec.analysis, describe(query), columns, statistics, task.releases))
    return tuple(found)


def review(terms: ProjectTerms) -> tuple[Finding, ...]:
    """Return findings on what a plan could disclose about small groups, serious ones first."""
    found = [*_of_plan(terms)]
    for name, spec in _tasks(terms):
        found += [Finding(severity, name, reason) for severity, reason in _of_task(spec)]
    for (one, first), (other, second) in combinations(_tasks(terms), 2):
        found += [Finding("serious", f"{one}, {other}", reason) for reason in _of_pair(first, second)]
    return tuple(sorted(found, key=lambda finding: finding.severity != "serious"))


def review_rows(terms: ProjectTerms, columns: Columns) -> tuple[Finding, ...]:
    """Return findings on a site's own rows that a plan's filters, weights and indicators single out.

    Args:
        terms: terms with the plan.
        columns: all columns of the plan, (rows,) each.
    """
    if terms.plan is None:
        return ()
    floor, tasks = terms.plan.minimum_persons, _tasks(terms)
    found = []
    chosen = {name: _rows(spec, columns) for name, spec in tasks}
    for name, spec in tasks:
        if 0 < (rows := int(chosen[name].sum())) < floor:
            found.append(Finding("serious", name, f"{rows} rows of this site meet its filter"))
        for words, inside in _set_apart(spec, columns):
            few = min(int((inside & chosen[name]).sum()), int((~inside & chosen[name]).sum()))
            if 0 < few < floor:
                found.append(Finding("serious", name, f"{words} singles out {few} rows of this site"))
    for one, other in combinations(chosen, 2):
        if 0 < (rows := int((chosen[one] ^ chosen[other]).sum())) < floor:
            found.append(Finding("serious", f"{one}, {other}", f"at this site, their rows differ by {rows}"))
    return tuple(found)


def least_rows(terms: ProjectTerms) -> int:
    """Return how many rows a dataset needs so that no model of the plan has too many parameters for it.

    A site with fewer would be in the sums of some tasks and hide from those of others: their difference is its own.
    """
    models = (inner for _, spec in _tasks(terms) for inner in _models(spec) if isinstance(inner, FormulaSpec))
    return ROWS_PER_PARAMETER * max(map(_parameters, models), default=0)


_VALUE_BITS = 53  # for a question that is examined but not sent


def _tasks(terms: ProjectTerms) -> tuple[NamedSpec, ...]:
    return () if terms.plan is None else terms.plan.specs(terms.dataset)


def _of_plan(terms: ProjectTerms) -> Iterator[Finding]:
    plan = terms.plan
    if plan is None:
        yield Finding("serious", "plan", "there is none: the coordinator can choose each question by earlier answers")
        return
    if plan.minimum_persons < LOW_FLOOR:
        floor = plan.minimum_persons
        yield Finding("serious", "plan", f"a floor of {floor} hides no larger group; use 5")
    if plan.data == "growing":
        yield Finding("notice", "plan", "data grow: answers over two imports disclose who came or went between them")
    if terms.loss_rule == "continue":
        yield Finding("notice", "terms", "a run continues without a lost site: two sums approximate what it sent")
    if terms.profile == "semi-honest":
        yield Finding(
            "serious", "terms", "a false sum goes unnoticed: the coordinator could use one to steer later questions"
        )
    for task in plan.tasks:
        if task.releases > MANY_RELEASES:
            yield Finding(
                "notice", task.name, f"it may be started {task.releases} times, over different sites each time"
            )


def _of_task(spec: TableSpec) -> Iterator[tuple[Severity, str]]:
    for inner in _models(spec):
        if weight := getattr(inner, "weight", None):
            yield "serious", f"weights: rows with weight 0 are left out, so {weight.column} can single out a few"
        if offset := getattr(inner, "offset", None):
            yield (
                "notice",
                f"an offset: large values of {offset.column} remove rows from a model, or let few dominate it",
            )
        if isinstance(inner, GivenSpec):
            yield "notice", "given coefficients: they can make a score depend on few rows"
        yield from _of_design(inner)
    if isinstance(spec, SurvivalSpec) and spec.grid.count * PERSONS_PER_CELL > spec.row_limit:
        yield "notice", f"a grid of {spec.grid.count} intervals for at most {spec.row_limit} rows: few events in each"
    if isinstance(spec, HistogramSpec) and spec.bins * PERSONS_PER_CELL > spec.row_limit:
        yield "notice", f"{spec.bins} intervals for at most {spec.row_limit} rows: few persons in each"
    if isinstance(spec, RankTestSpec | SignedRankSpec) and spec.cells * PERSONS_PER_CELL > spec.row_limit:
        yield "notice", f"ranks on {spec.cells} steps for at most {spec.row_limit} rows: few persons in each"
    if isinstance(spec, KMeansSpec) and spec.centres is not None:
        yield "notice", "given centres: one far from all others attracts single rows"
    if isinstance(spec, FederatedTrainingSpec) and not isinstance(spec.start, Zeros):
        yield "notice", "a start other than zeros: chosen weights can make updates depend on few rows"
    query = first_query(spec, _VALUE_BITS)
    if query.disclosure.singles_out:
        yield "serious", f"{query.statistic.name} can show the values of a single person, across all sites"


def _models(spec: TableSpec) -> Iterator[TableSpec]:
    yield spec
    if isinstance(spec, PredictiveSpec | ImputationSpec):
        yield spec.inner()


def _of_design(spec: TableSpec) -> Iterator[tuple[Severity, str]]:
    factors = _factors(spec)
    indicators = [one.names[0] for one in factors if isinstance(one.function, Indicator)]
    if len(indicators) > 1:
        yield "serious", f"several indicators ({', '.join(indicators)}): their differences single out rows between them"
    elif indicators:
        yield "notice", f"an indicator ({indicators[0]}): its sums are those of the rows that it marks"
    for one in factors:
        if isinstance(one.function, Power) and abs(one.function.exponent) > HIGH_POWER:
            yield "serious", f"{one.names[0]}: the few largest values dominate a high power"
    if bumps := [one.label for one in _bases(spec) if isinstance(one.function, Splines) and one.function.knots]:
        yield "notice", f"B-splines ({', '.join(bumps)}): each is a sum over the rows between a few neighbouring knots"
    parameters = _parameters(spec)
    if parameters * PERSONS_PER_PARAMETER > spec.row_limit:
        yield (
            "serious",
            f"{parameters} parameters for at most {spec.row_limit} rows of a site: they can fit single rows",
        )


def _factors(spec: TableSpec) -> list[Numeric]:
    if not isinstance(spec, FormulaSpec):
        return []
    try:
        return [one for one in spec.parsed().design.factors if isinstance(one, Numeric)]
    except ParameterError:  # `check` reports the error
        return []


def _bases(spec: TableSpec) -> list[Basis]:
    if not isinstance(spec, FormulaSpec):
        return []
    try:
        return [one for one in spec.parsed().design.factors if isinstance(one, Basis)]
    except ParameterError:  # `check` reports the error
        return []


def _parameters(spec: TableSpec) -> int:
    if isinstance(spec, CoxSpec):
        return len(spec.covariates)
    if not isinstance(spec, FormulaSpec):
        return 0
    try:
        return len(spec.parsed().design.names)
    except ParameterError:
        return 0


def _of_pair(one: TableSpec, other: TableSpec) -> Iterator[str]:
    first, second = set(one.filter), set(other.filter)
    if first == second:
        return
    if first < second or second < first:
        more: tuple[Condition, ...] = tuple(first ^ second)
        yield f"the rows of one are those of the other in which {in_words(more)}: their difference reveals the rest"
    elif len(first ^ second) == 2 and len({name for one in comparisons(first ^ second) for name in one.columns}) == 1:
        yield "their filters differ in one bound: their difference reveals the rows in between"


def _rows(spec: TableSpec, columns: Columns) -> NDArray[np.bool_]:
    rows = np.ones(len(next(iter(columns.values()))), np.bool_)
    for condition in spec.filter:
        rows &= meets(condition, columns)
    return rows


def _set_apart(spec: TableSpec, columns: Columns) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for inner in _models(spec):
        if weight := getattr(inner, "weight", None):
            yield f"the weight {weight.column}", columns[weight.column] != 0
        for basis in _bases(inner):
            for name, values in zip(basis.names, basis.coded(columns).z, strict=True):
                yield name, values != 0
        for factor in _factors(inner):
            if isinstance(factor.function, Indicator):
                yield factor.names[0], factor.coded(columns).z[0] != 0
