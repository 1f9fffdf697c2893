"""The demonstration's plan consists of the analyses that its oracle covers."""

from coordinator.demo.demonstrate import PLAN
from coordinator.demo.lung import COX, KAPLAN_MEIER
from coordinator.projects.projects import read_terms


def test_the_plan_is_what_the_oracle_checks() -> None:
    terms = read_terms(PLAN)
    assert [spec for _, spec in terms.plan.specs(terms.dataset)] == [COX, KAPLAN_MEIER]
