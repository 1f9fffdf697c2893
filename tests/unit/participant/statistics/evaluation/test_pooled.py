"""Floors over all sites: what is published is exact, and says nothing about fewer persons than the floor."""

import numpy as np
import pytest

from participant.statistics.evaluation import supports
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.pooled import published, read
from participant.statistics.evaluation.registry import CONTINGENCY, COUNTS, EVENT_COUNTS, GLM_SCORE, MOMENTS
from participant.statistics.language.conditions import Comparison
from participant.statistics.language.query import Query
from participant.statistics.language.statistic import Columns, Params, Statistic
from participant.statistics.models.design import Category, Design, Numeric
from participant.statistics.models.outcome import Grid, Outcome
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.contingency import ContingencyParams
from participant.statistics.vocabulary.counts import CountsParams
from participant.statistics.vocabulary.event_counts import CENSORED_ENDS, EVENT_ENDS, EventCountsParams
from participant.statistics.vocabulary.glm_score import GlmScoreParams
from participant.statistics.vocabulary.moments import MomentsParams

LIMIT = 1000
AGE = MomentsParams(variables=(Variable(column="age", low=0, high=100),), row_limit=LIMIT)


def asked(statistic: Statistic, params: Params, **members) -> BoundQuery:
    query = statistic.query(params, dataset="t", value_bits=40, minimum_persons=5, **members)
    return BoundQuery.decode(query.model_copy(update={"pooled": True}).encode())


def over(bound: BoundQuery, *sites: Columns) -> np.ndarray:
    return published(bound, np.sum([evaluate(bound, site) for site in sites], axis=0))


def table(rows: int, seed: int = 1, **columns: list[float]) -> Columns:
    rng = np.random.default_rng(seed)  # noqa: TID251 - made-up rows
    made = {"age": rng.uniform(20, 90, rows), "sex": rng.integers(1, 3, rows), "sick": rng.integers(0, 2, rows)}
    return {name: np.asarray(column, np.float64) for name, column in (made | columns).items()}


def contingency(*columns: str) -> ContingencyParams:
    levels = {"sex": (1, 2), "sick": (0, 1)}
    return ContingencyParams(by=tuple(Category(column=name, levels=levels[name]) for name in columns), row_limit=LIMIT)


def glm(weight: Numeric | None = None, family: str = "binomial") -> GlmScoreParams:
    return GlmScoreParams(
        design=Design(terms=((), (Numeric(column="age", low=0, high=100),))),
        weight=weight,
        family=family,
        alpha=0,
        outcome=Numeric(column="sick", low=0, high=1),
        offset=None,
        limit=20,
        coefficients=(0.0, 0.0),
        row_limit=LIMIT,
    )


def test_sites_below_the_floor_are_in_the_sum():
    """The case of four hospitals of which one has three women: nothing is hidden, since over all there are many."""
    bound = asked(CONTINGENCY, contingency("sex", "sick"))
    few_women = table(200, 9, sex=[2.0] * 3 + [1.0] * 197)
    sites = [*(table(rows, seed) for seed, rows in enumerate((303, 294, 123))), few_women]
    values = read(bound, over(bound, *sites))
    for place, (sex, sick) in enumerate(((1, 0), (1, 1), (2, 0), (2, 1))):
        exact = sum(np.count_nonzero((site["sex"] == sex) & (site["sick"] == sick)) for site in sites)
        assert values["counts"][place // 2, place % 2] == exact
    assert values["asked"] == values["answered"] == 920


def test_two_persons_a_site_are_enough():
    bound = asked(MOMENTS, AGE)
    values = read(bound, over(bound, *(table(2, age=[50.0, 60.0]) for _ in range(4))))
    assert values["rows"] == 8


def test_cells_of_few_are_hidden_with_others():
    bound = asked(CONTINGENCY, contingency("sick"))
    vector = over(bound, *(table(100, seed, sick=[1.0] + [0.0] * 99) for seed in range(3)))
    assert np.isnan(vector[:2]).all()  # three who are sick, and with them the others
    values = read(bound, vector)
    assert (values["asked"], values["answered"]) == (300, 0)


@pytest.mark.parametrize(
    ("age", "why"),
    [
        ([50.0] * 4, "fewer rows than the floor"),
        ([0.0] * 96 + [50.0] * 4, "four who differ from all others"),
        ([0.01] * 99 + [99.0], "one who makes up most of the sum"),
    ],
)
def test_a_sum_that_stands_for_few_is_hidden_as_a_whole(age, why):
    bound = asked(MOMENTS, AGE)
    vector = over(bound, *(table(len(part), age=part) for part in np.array_split(np.array(age), 3)))
    assert np.isnan(vector[: bound.published.length - 1]).all(), why


def test_a_filter_that_leaves_few():
    bound = asked(MOMENTS, AGE, filter=(Comparison(column="age", op=">=", value=89),))
    values = read(bound, over(bound, *(table(40, age=[90.0] + [50.0] * 39) for _ in range(3))))
    assert (values["asked"], values["rows"]) == (0, 0)


@pytest.mark.parametrize(("rows", "is_shown"), [(1, False), (60, True)])
def test_a_model_needs_three_rows_for_each_parameter(rows, is_shown):
    bound = asked(GLM_SCORE, glm())
    vector = over(bound, *(table(rows, seed) for seed in range(5)))
    assert np.isnan(vector[: bound.published.length - 1]).any() != is_shown


def test_lanes_of_the_sites_are_never_published():
    bound = asked(MOMENTS, AGE)
    vector = over(bound, *(table(100, seed) for seed in range(3)))
    private = {name: array for name, array in bound.layout.unflatten(vector).items() if name in supports.PRIVATE}
    assert set(private) == set(supports.PRIVATE)
    assert all(np.isnan(array).all() for array in private.values())
    assert not set(supports.PRIVATE) & set(read(bound, vector))


def test_counts_of_few_persons_are_rounded_alike_at_every_site():
    bound = asked(COUNTS, CountsParams(columns=("age",), row_limit=LIMIT))
    sites = [table(50, seed, age=[np.nan] + [50.0] * 49) for seed in range(3)]
    vector = over(bound, *sites)
    assert read(bound, vector)["present"][0] in {145, 150}  # not the 147 who have one
    np.testing.assert_array_equal(vector, over(bound, *sites))


def test_intervals_of_few_events_are_merged_and_all_rows_count():
    outcome = Outcome(time="time", event="sick", grid=Grid(width=7, count=40))
    bound = asked(EVENT_COUNTS, EventCountsParams(outcome=outcome, by=(), row_limit=LIMIT))
    rng = np.random.default_rng(3)  # noqa: TID251 - made-up rows
    sites = [table(80, seed, time=rng.exponential(100, 80)) for seed in range(4)]
    values = read(bound, over(bound, *sites))
    events, at_risk = values["events"], values["at_risk"]
    censored = at_risk - events - np.append(at_risk[1:], 0)
    assert at_risk[0] == values["answered"] == 320
    assert events.sum() == sum(site["sick"][site["time"] <= 280].sum() for site in sites)
    for counts in (events, censored):
        assert ((counts == 0) | (counts >= 5)).all()
    assert set(np.flatnonzero(events)) <= set(np.flatnonzero(values[EVENT_ENDS]))
    assert set(np.flatnonzero(censored)) <= set(np.flatnonzero(values[CENSORED_ENDS]))
    assert np.count_nonzero(events) > 10


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 1e9])
def test_the_bound_on_the_largest_contribution_holds_and_is_near(scale):
    """Of weights, which no range of a share bounds."""
    bound = asked(GLM_SCORE, glm(Numeric(column="w", low=0, high=100 * scale), "gaussian"))
    rng = np.random.default_rng(5)  # noqa: TID251 - made-up rows
    sites = [table(30, seed, w=rng.uniform(1, 100, 30) * scale) for seed in range(4)]
    found = supports.of(bound.layout.unflatten(np.sum([evaluate(bound, site) for site in sites], axis=0)))
    exact = [
        bound.statistic.pooled_support(bound.params, {name: site[name] for name in bound.query.columns})
        for site in sites
    ]
    largest, total = np.max([one.largest for one in exact], axis=0), np.sum([one.total for one in exact], axis=0)
    seen = largest > 2e-3
    assert seen.any()
    assert (found.largest[seen] >= 0.999 * largest[seen]).all()
    assert (found.largest[seen] <= 1.42 * largest[seen]).all()
    assert found.total == pytest.approx(total, rel=1e-3, abs=1e-4)


def test_a_query_without_pooled_floors_does_not_mention_them():
    query = MOMENTS.query(AGE, dataset="t", value_bits=40)
    assert b"pooled" not in query.encode()
    assert Query.decode(query.model_copy(update={"pooled": True}).encode()).pooled
