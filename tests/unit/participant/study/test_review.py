"""The review of a plan: each pattern that singles out persons is found, with its task; harmless plans pass."""

from typing import Any

import numpy as np
import pytest

from participant.study.review import code_of, review, review_rows, tasks_in_words
from participant.study.terms import ProjectTerms
from tests.support.plans import CLUSTERS, KAPLAN_MEIER, LOGISTIC, planned

TABLE = {
    "name": "table",
    "analysis": "chi-square",
    "row": {"column": "status", "levels": [0, 1]},
    "column": {"column": "sex", "levels": [1, 2]},
}
RANKS = {
    "name": "ranks",
    "analysis": "rank-test",
    "variable": {"column": "age", "low": 18, "high": 100},
    "width": 0.1,
    "by": {"column": "sex", "levels": [1, 2]},
}
AT_LEAST_60 = {"column": "age", "op": ">=", "value": 60}
AT_LEAST_61 = {"column": "age", "op": ">=", "value": 61}
ONLY_WOMEN = {"column": "sex", "op": "==", "value": 2}


def found(terms: ProjectTerms) -> list[tuple[str, str]]:
    return [(one.severity, one.place) for one in review(terms)]


def test_a_plain_plan_has_no_findings() -> None:
    assert review(planned(TABLE)) == ()
    assert review(planned(KAPLAN_MEIER)) == ()
    assert [one for one in review(planned(LOGISTIC)) if "show" not in one.reason] == []


@pytest.mark.parametrize(
    ("tasks", "changes", "place", "words"),
    [
        ([LOGISTIC | {"weight": {"column": "w", "low": 0, "high": 1}}], {}, "model", "weights"),
        ([LOGISTIC | {"offset": {"column": "time", "low": 1, "high": 9}}], {}, "model", "offset"),
        ([LOGISTIC | {"formula": "status ~ I(age > 60) + I(age > 61)"}], {}, "model", "several indicators"),
        ([LOGISTIC | {"formula": "status ~ I(age > 60)"}], {}, "model", "an indicator"),
        ([LOGISTIC | {"formula": "status ~ bs(age, knots=[50])"}], {}, "model", "B-splines (bs(age))"),
        ([LOGISTIC | {"formula": "status ~ I(age ** 8)"}], {}, "model", "high power"),
        ([LOGISTIC], {"row_limit": 20}, "model", "3 parameters for at most 20 rows"),
        ([KAPLAN_MEIER | {"grid": {"width": 1, "count": 1000}}], {}, "curve", "a grid of 1000 intervals"),
        ([RANKS], {}, "ranks", "ranks on 820 steps"),
        ([TABLE | {"releases": 50}], {}, "table", "started 50 times"),
        ([CLUSTERS | {"centres": [[20, 1], [90, 900]]}], {}, "clusters", "given centres"),
        ([TABLE], {"minimum_persons": 2}, "plan", "a floor of 2"),
        ([TABLE], {"data": "growing"}, "plan", "data grow"),
        ([TABLE], {"profile": "semi-honest"}, "terms", "false sum"),
        ([TABLE], {"loss_rule": "continue"}, "terms", "continues without a lost site"),
        (
            [TABLE | {"filter": [AT_LEAST_60]}, TABLE | {"name": "women", "filter": [AT_LEAST_60, ONLY_WOMEN]}],
            {},
            "table, women",
            "in which sex is 2",
        ),
        (
            [TABLE | {"filter": [AT_LEAST_60]}, TABLE | {"name": "older", "filter": [AT_LEAST_61]}],
            {},
            "table, older",
            "differ in one bound",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_shape_that_singles_out_persons_is_found(
    tasks: list[dict[str, Any]], changes: dict[str, Any], place: str, words: str
) -> None:
    assert [one for one in review(planned(*tasks, **changes)) if one.place == place and words in one.reason]


def test_the_serious_come_first() -> None:
    terms = planned(TABLE | {"releases": 50}, minimum_persons=2)
    assert found(terms) == [("serious", "plan"), ("notice", "table")]


def test_among_a_site_s_own_rows_small_groups_are_found() -> None:
    columns = {
        "age": np.array([50.0] * 20 + [60.0] * 3 + [61.0] * 10),
        "sex": np.array([1.0, 2.0, 1.0] * 11),
        "status": np.array([0.0, 1.0, 1.0] * 11),
    }
    filtered = planned(TABLE | {"filter": [AT_LEAST_60]}, TABLE | {"name": "older", "filter": [AT_LEAST_61]})
    assert [(one.place, one.reason) for one in review_rows(filtered, columns)] == [
        ("table, older", "at this site, their rows differ by 3")
    ]
    few = planned(TABLE | {"filter": [{"column": "age", "op": "==", "value": 60}]})
    assert [one.reason for one in review_rows(few, columns)] == ["3 rows of this site meet its filter"]
    marked = planned(LOGISTIC | {"formula": "status ~ I(age == 60)", "categories": []})
    assert [one.reason for one in review_rows(marked, columns)] == ["age == 60 singles out 3 rows of this site"]


def test_tasks_are_described_in_words() -> None:
    [table] = tasks_in_words(planned(TABLE | {"filter": [AT_LEAST_60]}))
    words = str(table)
    for part in ("table: chi-square", "at most 3 times", "age is at least 60", "fewer than 5 persons", "contingency"):
        assert part in words
    assert table.facts()["columns"] == ["age", "sex", "status"]


def test_another_plan_has_another_code() -> None:
    assert code_of(planned(TABLE)) == code_of(planned(TABLE))
    assert len(code_of(planned(TABLE)).replace("-", "")) * 4 == 160  # a collision takes 2^80 tries
    assert len({code_of(planned(TABLE, minimum_persons=floor)) for floor in (5, 6, 7)}) == 3
