"""A run on the lung trial in a simulation, for everything that shows runs."""

from functools import cache

from coordinator import connect
from coordinator.demo.lung import COX, KAPLAN_MEIER, lung_by_institution
from coordinator.report.run import RunReport
from participant.study.terms import ProjectTerms

HOSTILE = "Lung <script>alert(1)</script> & co"
TERMS = ProjectTerms(
    purpose="Survival <b>in</b> lung cancer",
    dataset="lung",
    columns=("time", "status", *COX.names),
    statistics=("moments", "event-counts", "cox-risk-sets"),
)


@cache
def lung_run() -> RunReport:
    """Return a run of a Cox model and its curve, in a project whose name a page has to escape."""
    with connect(simulate=lung_by_institution(), terms=TERMS, progress=False) as session:
        return session.project(HOSTILE).run(COX, KAPLAN_MEIER)
