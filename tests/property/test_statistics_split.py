"""Statistics are additive: for any split of the rows, the sites' values sum to the value on all rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.describe import describe
from participant.statistics.evaluation.evaluate import evaluate, rows_asked
from participant.statistics.evaluation.registry import STATISTICS, statistic_of
from participant.statistics.language.query import Query
from tests.support.plain_sum import fixed_point_sum
from tests.support.trials import rows, split
from tests.support.vocabulary import ROW_STATISTICS, queries, tables


@pytest.mark.parametrize("name", ROW_STATISTICS)
@settings(max_examples=12, deadline=None, print_blob=True)
@given(data=st.data(), parts=st.sampled_from([1, 3, 9]), seed=st.integers(0, 2**32 - 1))
def test_the_sites_sum_to_the_pooled_value(name: str, data, parts: int, seed: int) -> None:
    spoilt = data.draw(tables)
    table, query = spoilt.table(), data.draw(queries(spoilt.spec, (name,)))
    assert Query.decode(query.encode()) == query
    vectors = [evaluate(bind(query), site) for site in split(table, parts, seed).values()]
    layout = bind(query).layout
    whole, total = layout.unflatten(evaluate(bind(query), table)), layout.unflatten(np.sum(vectors, axis=0))
    segments = layout.segments(query.value_bits)
    secure, steps = layout.unflatten(fixed_point_sum(vectors, segments)), layout.steps(query.value_bits)
    terms = layout.unflatten(np.abs(vectors).sum(axis=0))
    clips = layout.unflatten(np.repeat([one.clip for one in segments], [one.count for one in segments]))
    for block in layout.blocks:
        if block.exact:
            np.testing.assert_array_equal(total[block.name], whole[block.name])
            np.testing.assert_array_equal(secure[block.name], whole[block.name])
        else:
            # Floating point adds up to rounding of the largest term that was added on the way.
            assert (np.abs(total[block.name] - whole[block.name]) <= 1e-12 * clips[block.name]).all()
            error = np.abs(secure[block.name] - total[block.name])
            slack = 1e-15 * terms[block.name]  # of the float sum that it is compared with: sites may cancel
            assert (error <= parts * steps[block.name] / 2 + slack).all()


@pytest.mark.parametrize("name", ROW_STATISTICS)
@settings(max_examples=8, deadline=None, print_blob=True)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_persons_behind_sums_add_up_and_one_contributes_no_more_than_all(name: str, data, seed: int) -> None:
    spoilt = data.draw(tables)
    bound = bind(data.draw(queries(spoilt.spec, (name,))))
    table = {column: values[rows_asked(bound, spoilt.table())] for column, values in spoilt.table().items()}
    whole = bound.statistic.supported(bound.params, table)
    parts = [bound.statistic.supported(bound.params, site) for site in split(table, 3, seed).values()]
    np.testing.assert_array_equal(sum(part.persons for part in parts), whole.persons)
    np.testing.assert_allclose(sum(part.total for part in parts), whole.total, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(np.max([part.largest for part in parts], axis=0), whole.largest)
    assert (whole.largest <= whole.total * (1 + 1e-9)).all()


@pytest.mark.parametrize("name", [*ROW_STATISTICS, "imputed", "training"])
@settings(max_examples=12, deadline=None, print_blob=True)
@given(data=st.data())
def test_every_vector_keeps_its_bounds(name: str, data) -> None:
    """Also after the floor has hidden what is small, and computed piece by piece."""
    spoilt = data.draw(tables)
    table, query = spoilt.table(), data.draw(queries(spoilt.spec, (name,), floors=(1, 3, 5)))
    vector, at = evaluate(bind(query), table), 0
    for segment in bind(query).segments:
        part = vector[at : at + segment.count]
        assert (np.abs(part) <= segment.clip).all()
        at += segment.count
    assert at == len(vector) == describe(bind(query)).numbers


@pytest.mark.parametrize("name", ROW_STATISTICS)
@settings(max_examples=12, deadline=None, print_blob=True)
@given(data=st.data())
def test_no_row_moves_a_vector_further_than_its_sensitivity(name: str, data) -> None:
    spoilt = data.draw(tables.filter(lambda one: one.odd != "no rows"))
    table, query = spoilt.table(), data.draw(queries(spoilt.spec, (name,)))
    statistic = statistic_of(query)
    row = data.draw(st.integers(0, rows(table) - 1))
    without = {column: np.delete(values, row) for column, values in table.items()}
    moved = float(np.linalg.norm(evaluate(bind(query), table) - evaluate(bind(query), without)))
    assert moved <= statistic.sensitivity(statistic.read(query)) * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize("statistic", STATISTICS.values(), ids=lambda statistic: statistic.name)
def test_no_parameter_has_a_default(statistic) -> None:
    """A default would give one meaning two encodings, with and without it."""
    assert all(field.is_required() for field in statistic.Params.model_fields.values())


def test_registry_is_by_name() -> None:
    assert all(name == statistic.name for name, statistic in STATISTICS.items())
