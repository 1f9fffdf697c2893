"""Runs and their states. Spec: 04-relay-api §4."""

from sqlalchemy import Connection

from relay.access import Access, parse_uuid
from relay.body import Json
from relay.call import Answer, Call
from relay.problem import CONFLICT, FORBIDDEN, NOT_FOUND, Problem
from relay.route import Route
from relay.store import audit
from relay.store import runs as store
from relay.store.database import Row
from relay.transitions import RUN, ProjectState, RunState
from relay.wire import NewRun, Run, RunChange, Runs


def create(call: Call, db: Connection) -> Answer:
    """Create a run with the roster that is in force."""
    wanted: NewRun = call.body
    number = parse_uuid(call.path["run"], "run")
    found = store.find(db, number)
    if found is not None:
        if (found.project, found.name) != (call.project.id, wanted.name):
            raise Problem(CONFLICT, "another run has this ID; choose a random one")
        return Answer(200, _run(found))
    if call.project.state != ProjectState.OPEN:
        raise Problem(CONFLICT, "the project is closed", state=call.project.state)
    if call.project.roster_version is None:
        raise Problem(CONFLICT, "the project has no roster yet")
    version = call.project.roster_version
    store.add(db, run=number, project=call.project.id, roster_version=version, name=wanted.name, now=call.now)
    audit.append(
        db, actor=call.actor, action="run.created", on=f"run/{number}", project=str(call.project.id), roster=version
    )
    return Answer(201, _run(store.find(db, number)))


def list_runs(call: Call, db: Connection) -> Answer:
    """Return a project's runs, the newest first."""
    return Answer(200, Runs(runs=[_run(row) for row in store.of_project(db, call.project.id)]))


def show(call: Call, db: Connection) -> Answer:
    """Return a run."""
    del db
    return Answer(200, _run(call.run))


def change(call: Call, db: Connection) -> Answer:
    """Change a run's state by compare-and-set."""
    wanted: RunChange = call.body
    state = RunState(call.run.state)
    if state != wanted.from_:
        raise Problem(CONFLICT, f"the run is {state}, not {wanted.from_}", state=state)
    if wanted.to not in RUN[state] or not store.change(
        db, call.run.id, from_=state, to=wanted.to, reason=wanted.reason, now=call.now
    ):
        raise Problem(CONFLICT, f"a run that is {state} cannot become {wanted.to}", state=state)
    audit.append(
        db,
        actor=call.actor,
        action="run.changed",
        on=f"run/{call.run.id}",
        before=state,
        after=wanted.to,
        reason=wanted.reason,
    )
    return Answer(200, _run(store.find(db, call.run.id)))


def _run(row: Row | None) -> Run:
    assert row is not None
    return Run(
        id=row.id,
        project=row.project,
        name=row.name,
        roster_version=row.roster_version,
        state=RunState(row.state),
        reason=row.reason,
        created=row.created,
        updated=row.updated,
    )


ROUTES = (
    Route(
        name="create_run",
        method="PUT",
        path="/v1/projects/{project}/runs/{run}",
        summary="Create a run",
        access=Access.PROJECT_LEADER,
        body=Json(NewRun),
        answers={201: Run, 200: Run},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        writes=create,
    ),
    Route(
        name="runs",
        method="GET",
        path="/v1/projects/{project}/runs",
        summary="A project's runs, the newest first",
        access=Access.PROJECT_READER,
        answers={200: Runs},
        refusals=(NOT_FOUND,),
        reads=list_runs,
    ),
    Route(
        name="run",
        method="GET",
        path="/v1/runs/{run}",
        summary="A run",
        access=Access.RUN_READER,
        answers={200: Run},
        refusals=(NOT_FOUND,),
        reads=show,
    ),
    Route(
        name="change_run",
        method="POST",
        path="/v1/runs/{run}/state",
        summary="Change a run's state by compare-and-set",
        access=Access.RUN_LEADER,
        body=Json(RunChange),
        answers={200: Run},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        writes=change,
    ),
)
