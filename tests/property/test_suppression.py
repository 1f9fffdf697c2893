"""Searches for violations of the floor: no release of a site's sums describes fewer persons than promised."""

from collections import defaultdict
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.registry import (
    CLASS_MOMENTS,
    CONTINGENCY,
    EVENT_COUNTS,
    GLM_SCORE,
    GRAM,
    HISTOGRAM,
    MOMENTS,
)
from participant.statistics.evaluation.suppression import DOMINANCE, hidden, hides, rounded
from participant.statistics.language.conditions import AllOf, AnyOf, Comparison
from participant.statistics.language.layout import Block, Layout
from participant.statistics.language.support import Support
from participant.statistics.models.design import INTERCEPT, Category, Coding, Design, Indicator, Numeric
from participant.statistics.models.outcome import Grid, Outcome
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.histogram import Measured


def unions(cells: int):
    return [list(some) for size in range(1, cells + 1) for some in combinations(range(cells), size)]


def isolated(floor: int, cells: int, rows: int) -> list[tuple]:
    """Return all releases from which some union of cells is known to hold a certain 1 to floor - 1 rows, by somebody
    who knows the site's number of rows and the rule. Tables with fewer rows than the floor are withheld whole.
    """
    tables = defaultdict(list)
    for counts in product(range(rows + 1), repeat=cells):
        if sum(counts) == 0 or floor <= sum(counts) <= rows:
            array = np.array(counts, np.float64)
            hidden = hides(array, floor)
            tables[tuple(np.where(hidden, 0, array)), hidden.any(), sum(counts)].append(array)
    found = []
    for release, consistent in tables.items():
        for union in unions(cells):
            held = {float(counts[union].sum()) for counts in consistent}
            if len(held) == 1 and 0 < next(iter(held)) < floor:
                found.append((release, union))
    return found


@pytest.mark.parametrize(
    ("floor", "cells", "rows"), [(3, 2, 24), (3, 3, 15), (3, 4, 10), (4, 3, 15), (5, 2, 30), (5, 3, 16)]
)
def test_no_union_of_cells_is_known_to_hold_fewer_rows_than_the_floor(floor: int, cells: int, rows: int) -> None:
    assert isolated(floor, cells, rows) == []


def test_a_floor_of_two_has_the_limit_that_the_module_states() -> None:
    """And so the search finds something where there is something to find."""
    ((release, _), *others) = isolated(2, 2, 12)
    assert release == ((0.0, 0.0), True, 2)
    assert all(other[0] == release for other in others)
    assert isolated(2, 3, 12) == []


def test_every_small_cell_is_hidden_and_no_table_without_one_is_changed() -> None:
    for floor, counts in product((2, 3, 5), product(range(8), repeat=3)):
        hidden = hides(np.array(counts, np.float64), floor)
        assert all(hidden[i] for i, count in enumerate(counts) if 0 < count < floor)
        if not any(0 < count < floor for count in counts):
            assert not hidden.any()


FLOOR = 3
LIMIT = {"row_limit": 20}
X = Category(column="x", levels=(0, 1))
Z = Category(column="z", levels=(0, 1))
AGE = Numeric(column="z", low=0, high=2)
STATISTICS = [
    (CONTINGENCY, CONTINGENCY.Params(by=(X,), **LIMIT)),
    (CONTINGENCY, CONTINGENCY.Params(by=(X, Z), **LIMIT)),
    (CLASS_MOMENTS, CLASS_MOMENTS.Params(by=(X,), variables=(AGE,), dominance=1.0, **LIMIT)),
    (
        HISTOGRAM,
        HISTOGRAM.Params(
            quantity=Measured(column="z", low=0, high=2),
            by=(X,),
            origin=0.5,
            width=1.0,
            edges=(0, 1),
            sums=True,
            **LIMIT,
        ),
    ),
]


def filters():
    """All filters of one or two comparisons with the values that occur."""
    single = [
        Comparison(column=column, op=op, value=value)
        for column in ("x", "z")
        for op in ("==", "!=", "<", ">=")
        for value in (0.0, 1.0)
    ]
    yield ()
    for one in single:
        yield (one,)
    for pair in combinations(single[::3], 2):
        yield (AnyOf(any=pair),)
        yield (AllOf(all=pair),)


def small_tables():
    """All tables of two binary columns with up to 8 rows, as counts of the four kinds of row."""
    kinds = np.array([(0, 0), (0, 1), (1, 0), (1, 1)], np.float64)
    for counts in product((0, 1, 2, 4), repeat=4):
        if sum(counts) <= 8:
            table = np.repeat(kinds, counts, axis=0)
            yield {"x": table[:, 0].copy(), "z": table[:, 1].copy()}


@pytest.mark.parametrize(("statistic", "params"), STATISTICS, ids=lambda value: getattr(value, "name", ""))
def test_no_query_shows_a_cell_below_the_floor(statistic, params) -> None:
    """Every filter over every small table: a cell shows no row, or at least as many as the floor, its sums with it."""
    queries = [
        statistic.query(params, dataset="d", value_bits=40, filter=one, minimum_persons=FLOOR) for one in filters()
    ]
    layout = bind(queries[0]).layout
    some = 0
    for table, query in product(list(small_tables())[::8], queries):
        shown = layout.unflatten(evaluate(bind(query), table))
        counts = shown["counts"]
        assert ((counts == 0) | (counts >= FLOOR)).all()
        for name in ("sums", "squares"):
            if name in shown:
                assert not shown[name][..., counts == 0].any()
        some += bool(counts.any())
    assert some > 50


def test_too_few_rows_are_hidden_and_not_counted() -> None:
    """Nobody stays away because of a small group; the zeros are part of the sum."""
    params = MOMENTS.Params(variables=(Variable(column="x", low=0, high=2),), **LIMIT)
    for rows in range(7):
        query = MOMENTS.query(params, dataset="d", value_bits=40, minimum_persons=FLOOR)
        shown = bind(query).layout.unflatten(evaluate(bind(query), {"x": np.ones(rows)}))
        assert shown["rows"] == shown["asked"] == shown["answered"] == (rows if rows >= FLOOR else 0)


def test_a_covariate_that_sets_few_rows_apart_is_hidden() -> None:
    """An indicator is a filter in disguise, and so is a range that leaves few rows inside."""
    old = Numeric(column="x", low=0, high=9, function=Indicator(op=">=", value=8))
    narrow = Numeric(column="x", low=7.5, high=9)
    for factor, apart in product((old, narrow), range(8)):
        params = GRAM.Params(design=Design(terms=((), (factor,))), weight=None, row_limit=100)
        query = GRAM.query(params, dataset="d", value_bits=40, minimum_persons=FLOOR)
        table = {"x": np.array([8.5] * apart + [1.0] * 12)}
        shown = bind(query).layout.unflatten(evaluate(bind(query), table))
        assert shown["asked"] == 12 + apart
        assert shown["answered"] == (0 if 0 < apart < FLOOR else 12 + apart)
        assert bool(shown["gram"].any()) is bool(shown["answered"])


@pytest.mark.parametrize(("rows", "answered"), [(5, 0), (6, 6)])
def test_a_model_with_a_parameter_for_every_other_row_is_hidden(rows: int, answered: int) -> None:
    x = Numeric(column="x", low=0, high=9)
    params = GRAM.Params(design=Design(terms=((), (x,), (Numeric(column="y", low=0, high=9),))), weight=None, **LIMIT)
    query = GRAM.query(params, dataset="d", value_bits=40, minimum_persons=FLOOR)
    rng = np.random.default_rng(1)  # noqa: TID251 - test data
    table = {name: rng.uniform(0, 9, rows) for name in ("x", "y")}
    assert bind(query).layout.unflatten(evaluate(bind(query), table))["answered"] == answered


def all_tables():
    """All tables of two binary columns with 0 to 4 rows of each of the four kinds, as counts."""
    kinds = np.array([(0, 0), (0, 1), (1, 0), (1, 1)], np.float64)
    for counts in product(range(5), repeat=4):
        table = np.repeat(kinds, counts, axis=0)
        yield counts, {"x": table[:, 0].copy(), "z": table[:, 1].copy()}


def released(statistic, params, table):
    query = statistic.query(params, dataset="d", value_bits=40, minimum_persons=FLOOR)
    return bind(query).layout.unflatten(evaluate(bind(query), table))


def is_fine(cells) -> bool:
    """Whether no union of the cells of a two-way table that its margins and one cell give is below the floor."""
    return all(count == 0 or count >= FLOOR for count in cells)


CODED = Coding(column="x", levels=(0, 1), reference=0)
BINARY = Numeric(column="z", low=0, high=1)
CENTRED = Numeric(column="z", low=0, high=1, centre=0.3, scale=0.2)


@pytest.mark.parametrize("second", [BINARY, CENTRED], ids=["raw", "centred"])
def test_the_gram_matrix_of_indicators_is_a_table_of_cells(second: Numeric) -> None:
    """Every table: either all cells that the products give are 0 or above the floor, or nothing is shown."""
    params = GRAM.Params(design=Design(terms=(INTERCEPT, (CODED,), (second,))), weight=None, **LIMIT)
    shown = 0
    for counts, table in all_tables():
        gram = released(GRAM, params, table)
        if gram["answered"]:
            shown += 1
            assert is_fine(counts)
        else:
            assert not any(block.any() for name, block in gram.items() if name != "asked")
            assert not is_fine(counts) or sum(counts) < 6
    assert shown > 30


def test_the_score_of_a_logistic_model_is_a_table_of_cells() -> None:
    params = GLM_SCORE.Params(
        design=Design(terms=(INTERCEPT, (CODED,))),
        coefficients=(0.0, 0.0),
        family="binomial",
        alpha=0.0,
        outcome=BINARY,
        offset=None,
        weight=None,
        limit=30.0,
        **LIMIT,
    )
    answered = [counts for counts, table in all_tables() if released(GLM_SCORE, params, table)["answered"]]
    assert len(answered) > 20
    assert all(map(is_fine, answered))


def test_event_counts_are_a_table_of_cells() -> None:
    """Times and event codes may be any columns: those who leave at a time, with and without an event, are cells."""
    outcome = Outcome(time="x", event="z", grid=Grid(width=1, count=2))
    params = EVENT_COUNTS.Params(outcome=outcome, by=(), **LIMIT)
    answered = [counts for counts, table in all_tables() if released(EVENT_COUNTS, params, table)["answered"]]
    assert len(answered) > 20
    assert all(map(is_fine, answered))


@pytest.mark.parametrize(("largest", "answered"), [(6.0, True), (40.0, False)])
def test_a_sum_to_which_one_person_contributes_most_is_hidden(largest: float, answered: bool) -> None:
    values = np.array([largest, *[2.0] * 11])
    params = MOMENTS.Params(variables=(Variable(column="x", low=0, high=100),), **LIMIT)
    assert (largest**2 <= DOMINANCE * (values**2).sum()) == answered
    assert bool(released(MOMENTS, params, {"x": values})["answered"]) is answered


LANE = Layout((Block("lane", (20,), 100.0, exact=True, few="rounded"),))


@given(rows=st.integers(3, 40), seed=st.integers(0, 2**64 - 1), data=st.data())
def test_a_lane_shows_no_group_below_the_floor(rows: int, seed: int, data) -> None:
    counts = np.array(data.draw(st.lists(st.integers(0, rows), min_size=20, max_size=20)), np.float64)
    for few in ("rounded", "some"):
        lane = Layout((replace(LANE.blocks[0], few=few),))
        shown = rounded(lane, {"lane": counts}, rows, FLOOR, seed)["lane"]
        assert ((shown == 0) | (shown >= FLOOR)).all()
        assert ((shown == rows) | (shown <= rows - FLOOR)).all()
        assert (shown[counts == 0] == 0).all()
        assert (shown[counts == rows] == rows).all()
        if few == "some":
            assert (shown[counts > 0] > 0).all()


@pytest.mark.parametrize("count", [1, 2, 4, 10, 18, 19])
def test_rounding_is_right_on_average(count: int) -> None:
    shown = [rounded(LANE, {"lane": np.full(20, float(count))}, 20, 5, seed)["lane"] for seed in range(500)]
    assert abs(np.mean(shown) - count) < 5 * 2.5 / 100


def test_the_rule_for_an_opened_sum_hides_cells_and_what_follows_them() -> None:
    """Over all sites, cells are hidden one by one; small support hides everything."""
    layout = Layout(
        (
            Block("counts", (4,), 100.0, exact=True, cells="counts"),
            Block("sums", (2, 4), 100.0, cells="counts"),
            Block("other", (), 100.0),
        )
    )
    arrays = {"counts": np.array([1.0, 9.0, 30.0, 40.0]), "sums": np.ones((2, 4)), "other": np.array(1.0)}
    masks = hidden(layout, arrays, Support.none(), 5)
    assert masks["counts"].tolist() == [True, True, False, False]
    assert masks["sums"].tolist() == [[True, True, False, False]] * 2
    assert not masks["other"].any()
    few = Support.none()._replace(persons=np.array([80.0, 4.0]))
    assert all(mask.all() for mask in hidden(layout, arrays, few, 5).values())
