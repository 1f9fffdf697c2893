"""Ranges that a secure round finds: they hold at every site, are tight, and no clipping goes unnoticed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.registry import GLM_SCORE, RANGES
from participant.statistics.language.query import QueryError
from participant.statistics.models.design import Design, Numeric
from participant.statistics.vocabulary.ranges import found
from secagg.params import ring_bits_for
from tests.support.plain_sum import fixed_point_sum
from tests.support.trials import split
from tests.support.vocabulary import queries, tables

REAL = (
    "moments",
    "class-moments",
    "gram",
    "glm-score",
    "ordinal-score",
    "cox-risk-sets",
    "k-means",
    "hinge",
    "training",
)


def ranges_of(query):
    params = RANGES.Params(
        statistic=query.statistic, version=query.version, params=query.params, row_limit=query.params["row_limit"]
    )
    return query.model_copy(
        update={"statistic": "ranges", "version": RANGES.version, "params": params.model_dump(mode="json")}
    )


@pytest.mark.parametrize("name", REAL)
@settings(max_examples=6, deadline=None, print_blob=True)
@given(data=st.data(), parts=st.sampled_from([1, 3, 9]), seed=st.integers(0, 2**32 - 1))
def test_a_range_that_was_found_holds_with_head_room(name: str, data, parts: int, seed: int) -> None:
    spoilt = data.draw(tables)
    query = data.draw(queries(spoilt.spec, (name,), floors=(1, 5)))
    sites = list(split(spoilt.table(), parts, seed).values())
    proven = bind(query.model_copy(update={"minimum_persons": 1})).layout
    asked = ranges_of(query)
    answers = [evaluate(bind(asked), site) for site in sites]
    total = fixed_point_sum(answers, bind(asked).segments)
    above = bind(asked).layout.unflatten(total)["above"]
    narrow = query.model_copy(update={"ranges": found(proven, above)})
    vectors = [evaluate(bind(narrow), site) for site in sites]
    layout = bind(narrow).layout
    plain = [bind(query).layout.unflatten(evaluate(bind(query), site)) for site in sites]
    segments = layout.segments(narrow.value_bits)
    exact = layout.unflatten(np.sum(vectors, axis=0))
    assert exact["clipped"] == 0
    for vector, whole in zip(vectors, plain, strict=True):  # site by site: sums of doubles depend on their order
        inside = layout.unflatten(vector)
        for block in bind(query).layout.blocks:
            np.testing.assert_array_equal(inside[block.name], whole[block.name])
    # The sum as a round gives it is within half a step a site, of steps that are as fine as the range allows.
    secure, steps = layout.unflatten(fixed_point_sum(vectors, segments)), layout.steps(narrow.value_bits)
    terms = layout.unflatten(np.abs(vectors).sum(axis=0))
    for block in layout.blocks:
        slack = 1e-15 * terms[block.name]  # of the float sum that it is compared with: sites may cancel
        assert (np.abs(secure[block.name] - exact[block.name]) <= parts * steps[block.name] / 2 + slack).all()
    # Head-room: the ring of the widest segment holds the sum of so many sites at their bounds.
    for segment in segments:
        assert parts * segment.bound < 2 ** (ring_bits_for(segment.levels, parts) - 1)


PARAMS = GLM_SCORE.Params(
    family="poisson",
    alpha=0.0,
    design=Design(terms=((), (Numeric(column="x", low=0, high=10),))),
    coefficients=(0.0, 1.0),
    outcome=Numeric(column="y", low=0, high=100),
    offset=None,
    weight=None,
    limit=20.0,
    row_limit=10_000,
)


def test_a_range_is_within_a_factor_of_two_of_the_largest_site() -> None:
    query = GLM_SCORE.query(PARAMS, dataset="d", value_bits=40)
    sites = [{"x": np.full(3, 1.0 + i), "y": np.full(3, 2.0)} for i in range(4)]
    asked = ranges_of(query)
    above = bind(asked).layout.unflatten(np.sum([evaluate(bind(asked), site) for site in sites], axis=0))["above"]
    exponents = found(bind(query).layout, above)
    largest = np.abs([evaluate(bind(query), site) for site in sites]).max(axis=0)
    steps = bind(query.model_copy(update={"ranges": exponents})).layout.segments(40)
    clips = np.repeat([one.clip for one in steps], [one.count for one in steps])[: len(largest)]
    for block, part, clip in zip(
        (one for one in bind(query).layout.blocks for _ in range(one.size)), largest, clips, strict=True
    ):
        assert block.exact or part == 0 or part <= clip < 2 * part, block.name
    proven = bind(query).layout.segments(40)
    assert max(one.step for one in steps if one.step != 1) < max(one.step for one in proven if one.step != 1) / 1000


def test_an_entry_beyond_its_range_is_moved_there_and_counted() -> None:
    query = GLM_SCORE.query(PARAMS, dataset="d", value_bits=40)
    table = {"x": np.array([1.0, 2.0]), "y": np.array([1.0, 5.0])}
    asked = ranges_of(query)
    narrow = query.model_copy(
        update={"ranges": found(bind(query).layout, evaluate(bind(asked), table).reshape(-1, 60))}
    )
    grown = {"x": np.array([1.0, 2.0, 9.0]), "y": np.array([1.0, 5.0, 5.0])}
    layout = bind(narrow).layout
    vector = evaluate(bind(narrow), grown)
    bounds = np.repeat([one.clip for one in layout.segments(40)], [one.count for one in layout.segments(40)])
    assert (np.abs(vector) <= bounds).all()
    assert layout.unflatten(vector)["clipped"] > 0


def test_ranges_of_whole_numbers_and_of_the_unknown_are_refused() -> None:
    for statistic, params, complaint in (
        (
            "contingency",
            {"by": [{"column": "x", "kind": "category", "levels": [1, 2]}], "row_limit": 9},
            "whole numbers",
        ),
        ("counts", {"columns": ["x"], "row_limit": 9}, "counts version 2 cannot be used inside"),
        ("ranges", {"row_limit": 9}, "ranges version 2 cannot be used inside"),
        ("moments", {"row_limit": 9}, "parameters of moments are invalid"),
    ):
        params_ = RANGES.Params(statistic=statistic, version=2, params=params, row_limit=9)
        with pytest.raises(QueryError, match=complaint):
            RANGES.columns(params_)
    with pytest.raises(ValueError, match="the row limit must equal that"):
        RANGES.Params(statistic="moments", version=2, params={"row_limit": 8}, row_limit=9)
