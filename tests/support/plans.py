"""A project with a study plan, for tests."""

from typing import Any

from participant.study.asks import columns_of, statistics_of
from participant.study.plan import read_plan
from participant.study.terms import ProjectTerms

KAPLAN_MEIER = {
    "name": "curve",
    "analysis": "kaplan-meier",
    "time": "time",
    "event": "status",
    "grid": {"width": 70, "count": 10},
}
LOGISTIC = {
    "name": "model",
    "analysis": "glm",
    "formula": "status ~ age + C(sex)",
    "family": "binomial",
    "numbers": [{"column": "age", "low": 18, "high": 100}, {"column": "status", "low": 0, "high": 1}],
    "categories": [{"column": "sex", "levels": [1, 2]}],
}
CLUSTERS = {
    "name": "clusters",
    "analysis": "k-means",
    "clusters": 2,
    "variables": [{"column": "age", "low": 18, "high": 100}, {"column": "time", "low": 0, "high": 1100}],
}


def planned(*tasks: dict[str, Any], dataset: str = "lung", **beside: Any) -> ProjectTerms:
    """Return terms with a plan of these tasks; `beside` are members of the plan or of the terms."""
    own = {name: beside.pop(name) for name in ("minimum_persons", "row_limit", "data") if name in beside}
    plan = read_plan({"minimum_persons": 5, "row_limit": 1000, **own, "tasks": list(tasks)}, dataset)
    specs = [spec for _, spec in plan.specs(dataset)]
    return ProjectTerms(
        **{
            "purpose": "a test",
            "dataset": dataset,
            "columns": tuple(sorted(frozenset().union(*map(columns_of, specs)))),
            "statistics": tuple(sorted(frozenset().union(*map(statistics_of, specs)))),
            "plan": plan,
            **beside,
        }
    )
