"""Every statistic of the vocabulary with drawn parameters, over the real trials of `trials`."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from hypothesis import strategies as st

from participant.statistics.evaluation.registry import (
    CLASS_MOMENTS,
    CONTINGENCY,
    COUNTS,
    COX_RISK_SETS,
    EVENT_COUNTS,
    GLM_SCORE,
    GRAM,
    HINGE,
    HISTOGRAM,
    IMPUTED,
    K_MEANS,
    MOMENTS,
    ORDINAL_SCORE,
    STATISTICS,
    TRAINING,
)
from participant.statistics.language.conditions import AllOf, AnyOf, Comparison, Fold, negated
from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category, Design, Numeric
from participant.statistics.models.formula import parse_formula
from participant.statistics.models.outcome import Grid
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.histogram import Measured, Predicted
from participant.statistics.vocabulary.imputed import Draw, Equation
from tests.support.trials import GBSG2, LUNG, ROSSI, gbsg2, lung, rossi, rows

TRIALS = {"lung": (lung, LUNG), "rossi": (rossi, ROSSI), "gbsg2": (gbsg2, GBSG2)}
CODES = {
    "lung": {"sex": (1.0, 2.0), "ph.ecog": (0.0, 1.0, 2.0, 3.0)},
    "rossi": {"fin": (0.0, 1.0), "mar": (1.0, 0.0)},
    "gbsg2": {"horTh": (0.0, 1.0), "tgrade": (1.0, 3.0, 2.0)},
}
FORMULAS = {
    "lung": (
        "~ age",
        "~ sex * age",
        "~ ph.ecog + I(age ** 2) - 1",
        "~ C(ph.ecog, ref=2) + log(age):sex",
        "~ ns(age, knots=[50, 65])",
    ),
    "rossi": ("~ prio + fin - 1", "~ fin:mar + fin + mar", "~ age + I(prio >= 3)", "~ scale(age, 25, 6)"),
    "gbsg2": (
        "~ horTh * tgrade",
        "~ log(age) + pnodes",
        "~ bs(age, knots=[50]) + poly(pnodes, 2)",
        "~ tgrade + sqrt(progrec)",
        "~ age:tgrade - 1",
    ),
}
ROW_STATISTICS = tuple(name for name in STATISTICS if name not in {"imputed", "ranges", "training"})


def declared(spec) -> dict[str, Variable | Category]:
    codes = {column: Category(column=column, levels=levels) for column, levels in CODES[spec.dataset].items()}
    return {covariate.column: covariate for covariate in spec.covariates} | codes


@cache
def design(dataset: str, formula: str) -> Design:
    return parse_formula(formula, declared(TRIALS[dataset][1])).design


@dataclass(frozen=True)
class Spoilt:
    """A real table with some values missing, a column constant or empty, and some values out of range."""

    trial: str
    seed: int
    share: float
    odd: str
    column: int
    value: float

    @property
    def spec(self):
        return TRIALS[self.trial][1]

    def table(self) -> Columns:
        table = {name: column.copy() for name, column in TRIALS[self.trial][0]().items()}
        noise = np.random.default_rng(self.seed)  # noqa: TID251 - spoils test data, masks nothing
        names = [self.spec.time, self.spec.event, *self.spec.names]
        for name in names:
            table[name][noise.random(rows(table)) < self.share] = np.nan
        column = names[self.column % len(names)]
        if self.odd == "constant":
            table[column][:] = 1.0
        elif self.odd == "empty":
            table[column][:] = np.nan
        elif self.odd == "far out":
            table[column][noise.random(rows(table)) < 0.1] = self.value
        elif self.odd == "no rows":
            table = {name: values[:0] for name, values in table.items()}
        return table


tables = st.builds(
    Spoilt,
    trial=st.sampled_from(sorted(TRIALS)),
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.0, 0.02, 0.3]),
    odd=st.sampled_from(["as it is", "constant", "empty", "far out", "no rows"]),
    column=st.integers(0, 9),
    value=st.sampled_from([-1e9, 1e300, 2.5]),
)


small = st.floats(-0.5, 0.5, allow_subnormal=False)


def _many(draw, count: int, values=small) -> tuple[float, ...]:
    return tuple(draw(st.lists(values, min_size=count, max_size=count)))


def _numeric(variable: Variable, **more) -> Numeric:
    return Numeric(**variable.model_dump(), **more)


@st.composite
def asked(draw, spec, names=ROW_STATISTICS):
    """Draw a statistic and its parameters."""
    name = draw(st.sampled_from(names))
    limit = {"row_limit": spec.row_limit}
    covariates = spec.covariates
    categories = tuple(Category(column=column, levels=levels) for column, levels in CODES[spec.dataset].items())
    by = tuple(draw(st.lists(st.sampled_from(categories), max_size=2, unique=True)))
    some = draw(st.sampled_from(FORMULAS[spec.dataset]))
    model = design(spec.dataset, some)
    p = len(model.names)
    weight = draw(st.sampled_from([None, _numeric(covariates[-1].model_copy(update={"low": 0.0}), scale=50.0)]))
    linear = {"design": model, "coefficients": _many(draw, p, st.floats(-0.02, 0.02)), "weight": weight}
    event = Numeric(column=spec.event, low=0, high=1)
    match name:
        case "counts":
            return COUNTS, COUNTS.Params(columns=(spec.time, *spec.names), **limit)
        case "moments":
            return MOMENTS, MOMENTS.Params(variables=covariates, **limit)
        case "class-moments":
            variables = tuple(_numeric(one) for one in covariates)
            return CLASS_MOMENTS, CLASS_MOMENTS.Params(
                by=by or categories[:1], variables=variables, dominance=1.0, **limit
            )
        case "contingency":
            return CONTINGENCY, CONTINGENCY.Params(by=by or categories[:1], **limit)
        case "histogram":
            column = Measured(**draw(st.sampled_from(covariates)).model_dump())
            what = draw(st.sampled_from(["linear", "mean", "residual", "pearson"]))
            predicted = Predicted(
                what=what,
                family="binomial",
                alpha=0.0,
                design=model,
                coefficients=linear["coefficients"],
                offset=None,
                outcome=event if what in {"residual", "pearson"} else None,
                low=-2.0,
                high=3.0,
            )
            edges = tuple(sorted(draw(st.sets(st.integers(-5, 40), min_size=1, max_size=9))))
            return HISTOGRAM, HISTOGRAM.Params(
                quantity=draw(st.sampled_from([column, predicted])),
                by=by,
                origin=draw(st.sampled_from([0.0, -1.5])),
                width=draw(st.sampled_from([0.1, 2.0])),
                edges=edges,
                sums=draw(st.booleans()),
                **limit,
            )
        case "gram":
            return GRAM, GRAM.Params(design=model, weight=weight, **limit)
        case "glm-score":
            family = draw(st.sampled_from(["gaussian", "binomial", "poisson", "negative-binomial", "gamma"]))
            count = Numeric(column=spec.time, low=0.5, high=300)
            return GLM_SCORE, GLM_SCORE.Params(
                family=family,
                alpha=0.7 if family == "negative-binomial" else 0.0,
                outcome=event if family == "binomial" else count,
                offset=draw(st.sampled_from([None, _numeric(covariates[0], scale=100.0)])),
                limit=draw(st.sampled_from([0.3, 20.0])),
                **linear,
                **limit,
            )
        case "ordinal-score":
            formula = next(one for one in FORMULAS[spec.dataset] if () not in design(spec.dataset, one).terms)
            model = design(spec.dataset, formula) if () in model.terms else model
            levels = categories[-1]
            cuts = np.cumsum(_many(draw, len(levels.levels) - 1, st.floats(0.05, 2.0))) - 1
            return ORDINAL_SCORE, ORDINAL_SCORE.Params(
                outcome=levels,
                cuts=tuple(cuts.tolist()),
                limit=draw(st.sampled_from([0.3, 20.0])),
                **linear | {"design": model, "coefficients": _many(draw, len(model.names), st.floats(-0.02, 0.02))},
                **limit,
            )
        case "event-counts":
            outcome = spec.outcome.model_copy(update={"grid": draw(grids(spec))})
            return EVENT_COUNTS, EVENT_COUNTS.Params(outcome=outcome, by=by, **limit)
        case "cox-risk-sets":
            return COX_RISK_SETS, _cox(draw, spec, by, limit)
        case "k-means":
            centres = tuple(
                tuple(draw(st.floats(one.low, one.high)) for one in covariates) for _ in range(draw(st.integers(1, 4)))
            )
            return K_MEANS, K_MEANS.Params(
                variables=tuple(_numeric(one) for one in covariates), centres=centres, **limit
            )
        case "hinge":
            loss = draw(st.sampled_from(["hinge", "squared-hinge"]))
            return HINGE, HINGE.Params(outcome=event, loss=loss, **linear, **limit)
        case "training":
            return TRAINING, TRAINING.Params(
                trainer=draw(st.sampled_from(["linear-regression", "logistic-regression"])),
                purpose=draw(st.sampled_from(["train", "assess"])),
                settings={"steps": draw(st.integers(1, 4)), "rate": 1e-4, "penalty": 0.1, "proximal": 0.0},
                design=model,
                outcome=event,
                weights=linear["coefficients"],
                clip=draw(st.sampled_from([1e-3, 10.0])),
                loss_limit=5.0,
                **limit,
            )
        case "imputed":
            inside, given = draw(asked(spec, ("moments", "gram", "glm-score", "contingency", "cox-risk-sets")))
            return IMPUTED, IMPUTED.Params(
                statistic=inside.name,
                version=inside.version,
                params=given.model_dump(mode="json"),
                columns=(spec.time, spec.event, *spec.names),
                equations=(
                    Equation(
                        **covariates[0].model_dump(), family="gaussian", start=covariates[0].low, design=_others(spec)
                    ),
                ),
                draws=tuple(
                    Draw(coefficients=_many(draw, len(spec.names)), deviation=draw(st.floats(0, 30)))
                    for _ in range(draw(st.integers(0, 3)))
                ),
                seed=draw(st.integers(0, 9)),
                observed=draw(st.sampled_from([None, covariates[0].column])),
                **limit,
            )
    raise AssertionError(name)


def _others(spec) -> Design:
    """Return a design with an intercept and all covariates but the first."""
    return Design(terms=((), *((_numeric(one),) for one in spec.covariates[1:])))


def grids(spec) -> st.SearchStrategy[Grid]:
    return st.sampled_from([spec.grid, Grid(width=spec.grid.width * 4, count=8), Grid(width=0.3, count=1)])


def _cox(draw, spec, strata, limit):
    outcome = spec.outcome.model_copy(update={"grid": draw(grids(spec))})
    count, cells = outcome.grid.count, int(np.prod([len(one.levels) + 1 for one in strata]))
    times = st.tuples(st.integers(0, cells - 1), st.integers(0, count)).map(lambda at: at[0] * (count + 2) + at[1])
    at = draw(st.lists(times, min_size=1, max_size=12, unique=True).map(sorted))
    standard = tuple(
        (_numeric(one, centre=(one.low + one.high) / 2, scale=(one.high - one.low) / 4),) for one in spec.covariates
    )
    return COX_RISK_SETS.Params(
        outcome=outcome,
        design=Design(terms=standard),
        strata=strata,
        beta=_many(draw, len(standard)),
        log_weight_limit=draw(st.sampled_from([-1.0, 0.1, 20.0])),
        at=tuple(at),
        tied=tuple(draw(st.lists(st.sampled_from(at), max_size=6, unique=True).map(sorted))),
        trend=draw(st.sampled_from([(), tuple(float(i) - 2 for i in range(len(at)))])),
        event_ends=(),
        censored_ends=(),
        **limit,
    )


def conditions(columns) -> st.SearchStrategy:
    """Return a strategy for row filters, including nested and negated ones."""
    comparisons = st.builds(
        Comparison,
        column=st.sampled_from(columns),
        op=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        value=st.sampled_from([1.0, 20.0, 52.0, 300.0]),
    )
    folds = st.builds(
        Fold,
        columns=st.lists(st.sampled_from(columns), min_size=1).map(tuple),
        of=st.just(5),
        folds=st.sets(st.integers(0, 4), min_size=1, max_size=4).map(tuple),
        seed=st.integers(0, 9),
    )
    return st.recursive(
        st.one_of(comparisons, folds),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(any=tuple(parts))),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: AllOf(all=tuple(parts))),
            inner.map(negated),
        ),
        max_leaves=5,
    )


@st.composite
def queries(draw, spec, names=ROW_STATISTICS, floors=(1,)):
    statistic, params = draw(asked(spec, names))
    return statistic.query(
        params,
        dataset=spec.dataset,
        value_bits=draw(st.sampled_from([20, 40, 60])),
        filter=tuple(draw(st.lists(conditions(["age", spec.time]), max_size=2))),
        minimum_persons=draw(st.sampled_from(floors)),
    )
