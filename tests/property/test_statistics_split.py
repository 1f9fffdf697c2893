"""A statistic adds up: over any split of the rows, the sites' values sum to the value on all rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from participant.statistics import (
    COUNTS,
    COX_RISK_SETS,
    EVENT_COUNTS,
    MOMENTS,
    STATISTICS,
    Columns,
    Comparison,
    Grid,
    Query,
    evaluate,
    layout_of,
)
from participant.statistics.counts import CountsParams
from participant.statistics.cox_risk_sets import CoxRiskSetsParams
from participant.statistics.event_counts import EventCountsParams
from participant.statistics.moments import MomentsParams
from tests.support.plain_sum import fixed_point_sum
from tests.support.trials import GBSG2, LUNG, ROSSI, gbsg2, lung, rossi, rows, split

SPECS = {"lung": (lung, LUNG), "rossi": (rossi, ROSSI), "gbsg2": (gbsg2, GBSG2)}


@st.composite
def tables(draw) -> tuple[Columns, object]:
    """A real table, some of its values missing, a column constant or empty, some values beyond their ranges."""
    load, spec = SPECS[draw(st.sampled_from(sorted(SPECS)))]
    table = {name: column.copy() for name, column in load().items()}
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))  # noqa: TID251 - spoils test data, masks nothing
    share = draw(st.sampled_from([0.0, 0.02, 0.3]))
    names = [spec.time, spec.event, *spec.names]
    for name in names:
        table[name][noise.random(rows(table)) < share] = np.nan
    odd = draw(st.sampled_from(["as it is", "constant", "empty", "far out", "no rows"]))
    column = draw(st.sampled_from(names))
    if odd == "constant":
        table[column][:] = 1.0
    elif odd == "empty":
        table[column][:] = np.nan
    elif odd == "far out":
        table[column][noise.random(rows(table)) < 0.1] = draw(st.sampled_from([-1e9, 1e300, 2.5]))
    elif odd == "no rows":
        table = {name: values[:0] for name, values in table.items()}
    return table, spec


@st.composite
def queries(draw, spec) -> Query:
    grid = draw(st.sampled_from([spec.grid, Grid(width=spec.grid.width * 4, count=8), Grid(width=0.3, count=1)]))
    outcome = spec.outcome.model_copy(update={"grid": grid})
    p = len(spec.covariates)
    at = draw(st.lists(st.integers(1, grid.count), min_size=1, max_size=12, unique=True).map(sorted))
    tied = draw(st.lists(st.sampled_from(at), max_size=6, unique=True).map(sorted))
    small = st.floats(-0.5, 0.5, allow_subnormal=False)
    statistic, params = draw(
        st.sampled_from(
            [
                (COUNTS, CountsParams(columns=(spec.time, *spec.names), row_limit=spec.row_limit)),
                (MOMENTS, MomentsParams(variables=spec.covariates, row_limit=spec.row_limit)),
                (EVENT_COUNTS, EventCountsParams(outcome=outcome, row_limit=spec.row_limit)),
                (
                    COX_RISK_SETS,
                    CoxRiskSetsParams(
                        outcome=outcome,
                        variables=spec.covariates,
                        centre=tuple((variable.low + variable.high) / 2 for variable in spec.covariates),
                        scale=tuple((variable.high - variable.low) / 4 for variable in spec.covariates),
                        beta=tuple(draw(st.lists(small, min_size=p, max_size=p))),
                        log_weight_limit=draw(st.sampled_from([-1.0, 0.1, 20.0])),
                        at=tuple(at),
                        tied=tuple(tied),
                        row_limit=spec.row_limit,
                    ),
                ),
            ]
        )
    )
    comparisons = st.builds(
        Comparison,
        column=st.sampled_from(["age", spec.time]),
        op=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        value=st.sampled_from([20.0, 52.0, 300.0]),
    )
    return statistic.query(
        params,
        dataset=spec.dataset,
        value_bits=draw(st.sampled_from([20, 40, 60])),
        filter=tuple(draw(st.lists(comparisons, max_size=2))),
    )


@settings(max_examples=300, deadline=None)
@given(data=st.data(), parts=st.sampled_from([1, 3, 9]), seed=st.integers(0, 2**32 - 1))
def test_the_sites_sum_to_the_pooled_value(data, parts: int, seed: int) -> None:
    table, spec = data.draw(tables())
    query = data.draw(queries(spec))
    vectors = [evaluate(query, site) for site in split(table, parts, seed).values()]
    layout = layout_of(query)
    whole, total = layout.unflatten(evaluate(query, table)), layout.unflatten(np.sum(vectors, axis=0))
    segments = layout.segments(query.value_bits)
    secure, steps = layout.unflatten(fixed_point_sum(vectors, segments)), layout.steps(query.value_bits)
    for block in layout.blocks:
        if block.exact:
            np.testing.assert_array_equal(total[block.name], whole[block.name])
            np.testing.assert_array_equal(secure[block.name], whole[block.name])
        else:
            # Floating point adds up to rounding of the largest term that was added on the way.
            rounding = 1e-12 * max(segment.clip for segment in segments)
            np.testing.assert_allclose(total[block.name], whole[block.name], rtol=1e-11, atol=rounding)
            error = np.abs(secure[block.name] - total[block.name])
            slack = 1e-15 * np.abs(total[block.name])  # of the float sum that it is compared with
            assert (error <= parts * steps[block.name] / 2 + slack).all()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_every_vector_keeps_its_bounds(data) -> None:
    table, spec = data.draw(tables())
    query = data.draw(queries(spec))
    vector, at = evaluate(query, table), 0
    for segment in layout_of(query).segments(query.value_bits):
        part = vector[at : at + segment.count]
        assert (np.abs(part) <= segment.clip).all()
        at += segment.count
    assert at == len(vector)


@pytest.mark.parametrize("statistic", STATISTICS.values(), ids=lambda statistic: statistic.name)
def test_no_parameter_has_a_default(statistic) -> None:
    """A default would give one meaning two encodings, with and without it."""
    assert all(field.is_required() for field in statistic.Params.model_fields.values())


def test_registry_is_by_name() -> None:
    assert all(name == statistic.name for name, statistic in STATISTICS.items())
