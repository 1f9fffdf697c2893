"""Row filters: what they keep, and one encoding for one meaning."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from participant.statistics import AllOf, AnyOf, Comparison, Condition, negated
from participant.statistics.conditions import comparisons, in_words, meets, ordered
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
    ],
)
def test_refused(document: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        READ.validate_json(document)
