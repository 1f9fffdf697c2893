"""What an amendment of a project may change, and the difference between two versions in plain words.

Amending must not reset anything. The task of a name is one analysis in all versions, and an analysis keeps its name:
so the starts that a site's ledger counts by name hold for every version, and a task that is dropped and taken up again
has the starts left that it had. Dataset, floor, row limit, frozen data and the rules of runs stay what they were, and
budgets count a project's answers whatever their version.
"""

from collections.abc import Iterator, Sequence

from participant.statistics.language.query import canonical
from participant.study.plan import Plan, Task
from participant.study.terms import ProjectTerms
from secagg.errors import ParameterError

RUN_NAME = "amendments"
"""Name of the relay's run whose parcels carry amendments and the sites' answers."""
AMENDMENT, AGREED, DECLINED = "amendment", "agreed", "declined"
"""Names of these parcels; the text of an answer is the digest of the version's roster."""
_FIXED = ("dataset", "profile", "loss_rule", "minimum_sites", "mode", "publish")
_FIXED_OF_PLAN = ("minimum_persons", "row_limit", "data")


class AmendmentError(ParameterError):
    """A version changes what every version of a project must keep; the message says what."""


def check_amendment(earlier: Sequence[ProjectTerms], after: ProjectTerms) -> None:
    """Check that a version keeps what it must.

    Args:
        earlier: terms of all versions before, oldest first.
        after: terms of the new version.

    Raises:
        AmendmentError: it does not.
    """
    before, new = _plan(earlier[-1]), _plan(after)
    changed = [name for name in _FIXED if getattr(earlier[-1], name) != getattr(after, name)]
    changed += [name for name in _FIXED_OF_PLAN if getattr(before, name) != getattr(new, name)]
    if changed:
        raise AmendmentError(f"an amendment cannot change {', '.join(changed)}; create a new project")
    by_name = {task.name: _said(task) for terms in earlier for task in _plan(terms).tasks}
    by_analysis = {said: name for name, said in by_name.items()}
    for place, task in enumerate(new.tasks):
        if by_name.get(task.name, _said(task)) != _said(task):
            raise AmendmentError(
                f"tasks[{place}]: an earlier version calls another analysis {task.name}; choose another name"
            )
        if (name := by_analysis.get(_said(task), task.name)) != task.name:
            raise AmendmentError(f"tasks[{place}]: an earlier version calls this analysis {name}; keep the name")


def differences(before: ProjectTerms, after: ProjectTerms) -> tuple[str, ...]:
    """Return what a version changes, in plain words."""
    return tuple(_differences(before, after))


def _differences(before: ProjectTerms, after: ProjectTerms) -> Iterator[str]:
    old = {task.name: task for task in _plan(before).tasks}
    new = {task.name: task for task in _plan(after).tasks}
    for name, task in new.items():
        if name not in old:
            yield f"adds the task {name}, which may be started {task.releases} times"
        elif task.releases != old[name].releases:
            yield (
                f"the task {name} may be started {task.releases} times instead of {old[name].releases}; "
                "earlier starts count"
            )
    for name in old:
        if name not in new:
            yield f"drops the task {name}"
    for what, was, now in (
        ("columns", before.columns, after.columns),
        ("statistics", before.statistics, after.statistics),
        ("variables", [one.code for one in before.variables], [one.code for one in after.variables]),
    ):
        if more := sorted(set(now) - set(was)):
            yield f"adds the {what} {', '.join(more)}"
        if fewer := sorted(set(was) - set(now)):
            yield f"drops the {what} {', '.join(fewer)}"
    kept = {one.code: one for one in before.variables}
    if other := [one.code for one in after.variables if kept.get(one.code, one) != one]:
        yield f"defines these variables anew: {', '.join(other)}"
    if before.purpose != after.purpose:
        yield f"states another purpose: {after.purpose}"


def with_earlier(earlier: Sequence[ProjectTerms], after: ProjectTerms) -> ProjectTerms:
    """Return a version with the tasks that earlier ones had as well, for a review of what all of them tell together."""
    tasks = {task.name: task for terms in (*earlier, after) for task in _plan(terms).tasks}
    columns = tuple(sorted({column for terms in (*earlier, after) for column in terms.columns}))
    plan = _plan(after).model_copy(update={"tasks": tuple(tasks.values())})
    return after.model_copy(update={"plan": plan, "columns": columns})


def _plan(terms: ProjectTerms) -> Plan:
    if terms.plan is None:
        raise AmendmentError("only a project with a study plan can be amended, by terms with one")
    return terms.plan


def _said(task: Task) -> bytes:
    return canonical(task.specification)
