"""Row filters: which rows they keep, and one encoding for each meaning."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from participant.statistics.language.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Fold,
    comparisons,
    in_words,
    meets,
    negated,
    ordered,
)
from tests.support.vocabulary import conditions

OLD = Comparison(column="age", op=">=", value=70)
MAN = Comparison(column="sex", op="==", value=1)
ILL = Comparison(column="ecog", op=">", value=1)
NAN = np.nan
TABLE = {
    "age": np.array([80.0, 80.0, 50.0, 50.0, NAN, 80.0]),
    "sex": np.array([1.0, 2.0, 1.0, 2.0, 1.0, NAN]),
    "ecog": np.array([0.0, 2.0, 2.0, 0.0, 2.0, 0.0]),
}
READ: TypeAdapter[tuple[Condition, ...]] = TypeAdapter(tuple[Condition, ...])


def kept(condition) -> list[int]:
    return np.flatnonzero(meets(condition, TABLE)).tolist()


def test_and_or_not() -> None:
    assert kept(AllOf(all=(OLD, MAN))) == [0]
    assert kept(AnyOf(any=(OLD, ILL))) == [0, 1, 2, 4, 5]
    assert kept(negated(AllOf(all=(OLD, MAN)))) == [1, 2, 3]  # the rows with a missing value: neither this nor that
    assert kept(negated(OLD)) == [2, 3]


@settings(deadline=None)
@given(conditions(["age", "sex"]))
def test_a_negation_keeps_the_other_complete_rows(condition) -> None:
    rng = np.random.default_rng(7)  # noqa: TID251 - test data
    table = {name: rng.choice([0.0, 1.0, 20.0, 52.0, 300.0], 60) for name in ("age", "sex")}
    np.testing.assert_array_equal(meets(negated(condition), table), ~meets(condition, table))
    assert ordered((negated(negated(condition)),)) == ordered((condition,))


@settings(deadline=None)
@given(st.lists(conditions(["age", "sex"]), max_size=4).map(tuple), st.randoms())
def test_the_canonical_form_means_the_same_and_is_one(given_, random) -> None:
    rng = np.random.default_rng(8)  # noqa: TID251 - test data
    table = {name: rng.choice([0.0, 1.0, 20.0, 52.0, 300.0, NAN], 60) for name in ("age", "sex")}
    canonical = ordered(given_)
    both = (
        np.logical_and.reduce([np.ones(60, bool), *(meets(one, table) for one in some)]) for some in (given_, canonical)
    )
    np.testing.assert_array_equal(*both)
    turned = list(given_ + given_)
    random.shuffle(turned)
    assert ordered((AllOf(all=tuple(turned)),) if turned else ()) == canonical == ordered(canonical)
    data = READ.dump_json(canonical)
    assert READ.validate_json(data) == canonical


def fold(*folds: int, **changes) -> Fold:
    return Fold(**{"columns": ("sex", "age"), "of": 4, "folds": folds, "seed": 3} | changes)


def test_folds_divide_the_complete_rows_about_evenly_whatever_their_order_and_neighbours() -> None:
    rng = np.random.default_rng(11)  # noqa: TID251 - test data
    table = {"age": rng.normal(60, 9, 4000), "sex": rng.integers(1, 3, 4000).astype(float)}
    table["age"][:40] = NAN
    inside = np.array([meets(fold(one), table) for one in range(4)])
    assert (inside.sum(axis=0) == ~np.isnan(table["age"])).all()
    assert (abs(inside.sum(axis=1) - 990) < 5 * np.sqrt(4000 * 3 / 16)).all()
    assert not (meets(fold(1, seed=4), table) == inside[1]).all()
    order = rng.permutation(4000)[:777]
    np.testing.assert_array_equal(
        meets(fold(2), {name: column[order] for name, column in table.items()}), inside[2][order]
    )


def test_the_fold_of_a_row_is_fixed_for_all_time() -> None:
    """Sites of other releases must find the same rows."""
    table = {"age": np.array([50.0, 61.5, -0.0, 0.0, 1e300]), "sex": np.array([1.0, 2.0, 1.0, 1.0, 2.0])}

    def mixed(word: int) -> int:
        word = (word + 0x9E3779B97F4A7C15) % 2**64
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
        return word ^ word >> 31

    def expected(*values: float) -> int:
        word = mixed(3)
        for value in values:
            word = mixed(word ^ int.from_bytes(struct.pack("<d", value), "little"))
        return word % 4

    rows = [expected(age + 0.0, sex) for age, sex in zip(table["age"].tolist(), table["sex"].tolist(), strict=True)]
    assert [int(np.argmax([meets(fold(one), table)[row] for one in range(4)])) for row in range(5)] == rows
    assert rows == [0, 2, 0, 0, 2]


def test_the_folds_of_a_condition_are_in_one_form() -> None:
    assert fold(2, 0, 2) == fold(0, 2) == fold(0, 2, columns=("age", "sex", "age"))
    assert negated(fold(0, 2)) == fold(1, 3)
    assert in_words((fold(0, 2),)) == "the row is in fold 0, 2 of 4 (by age, sex; seed 3)"
    assert set(comparisons((AnyOf(any=(fold(1), OLD)),))) == {fold(1), OLD}


def test_words() -> None:
    assert in_words((OLD, AnyOf(any=(MAN, ILL)))) == "age is at least 70 and (ecog is above 1 or sex is 1)"


def test_comparisons_are_found_wherever_they_are() -> None:
    assert set(comparisons((OLD, AnyOf(any=(MAN, AllOf(all=(ILL, OLD))))))) == {OLD, MAN, ILL}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ('[{"any": []}]', "any"),
        ('[{"not": {"column": "a", "op": "==", "value": 1}}]', "comparison"),
        ('[{"all": [{"column": "a", "op": "~", "value": 1}]}]', "op"),
        ('[{"any": [{"column": "a", "op": "==", "value": 1}], "all": []}]', "all"),
        ('["age > 3"]', "comparison"),
        ('[{"columns": ["a"], "of": 4, "folds": [4], "seed": 0}]', "some of 0 to 3, but not all"),
        ('[{"columns": ["a"], "of": 2, "folds": [0, 1], "seed": 0}]', "some of 0 to 1, but not all"),
        ('[{"columns": ["a"], "of": 21, "folds": [0], "seed": 0}]', "fold.of"),
        ('[{"columns": [], "of": 4, "folds": [0], "seed": 0}]', "fold.columns"),
    ],
)
def test_refused(document: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        READ.validate_json(document)
