"""The requests of a task: the statistics of its analysis, and the columns of its specification."""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from participant.analyses.base.errors import SpecError
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.bound import BoundQuery
from participant.study.replay import Replay

ASKS: Mapping[str, frozenset[str]] = {
    name: frozenset(statistics.split())
    for names, statistics in {
        "kaplan-meier log-rank rmst": "event-counts",
        "cox": "moments event-counts cox-risk-sets",
        "descriptive": "counts moments contingency histogram ranges",
        "histogram rank-test signed-rank": "histogram",
        "spearman": "histogram gram ranges",
        "table-one": "class-moments contingency ranges",
        "t-test": "class-moments moments gram ranges",
        "anova": "class-moments ranges",
        "chi-square fisher agreement mantel-haenszel trend": "contingency",
        "correlation ridge lasso pca": "gram ranges",
        "ancova": "glm-score ranges",
        "linear": "glm-score histogram ranges",
        "logistic": "glm-score moments histogram ranges",
        "glm negative-binomial": "glm-score moments ranges",
        "ordinal": "ordinal-score ranges",
        "federated-training": "training",
        "k-means": "moments k-means",
        "naive-bayes": "contingency class-moments",
        "linear-svm": "contingency hinge ranges",
        "roc cross-validation": "histogram glm-score",
        "imputation": "imputed moments glm-score ranges",
        "given": "",
    }.items()
    for name in names.split()
}
"""The statistics that an analysis may ask for, by its name."""

_NAMES = frozenset({"column", "time", "event"})
_LISTS = frozenset({"complete", "by"})


def statistics_of(spec: TableSpec) -> frozenset[str]:
    """Return the statistics that a task may ask for, including those of a model inside it."""
    model = getattr(spec, "model", None)
    inside = model.get("analysis") if isinstance(model, dict) else None
    return ASKS[spec.analysis] | ASKS.get(str(inside), frozenset())


def columns_of(spec: TableSpec) -> frozenset[str]:
    """Return the columns that a task reads or filters by."""
    return frozenset(_columns(spec.model_dump(mode="json")))


def first_query(spec: TableSpec, value_bits: int, *, pooled: bool = False) -> BoundQuery:
    """Return the first question of a task, with floors at each site or over all of them.

    Raises:
        SpecError: the task cannot begin.
    """
    replay = Replay(spec, value_bits, pooled=pooled)
    if replay.expected is None:
        raise SpecError(f"the task cannot begin: {replay.failure or 'it asks nothing'}")
    return replay.expected


def _columns(value: JsonValue) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _columns(one)
    if not isinstance(value, dict):
        return
    for name, member in value.items():
        if name in _NAMES and isinstance(member, str):
            yield member
        elif name in _LISTS and isinstance(member, list):
            yield from (one for one in member if isinstance(one, str))
        yield from _columns(member)
