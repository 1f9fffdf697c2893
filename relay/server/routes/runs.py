"""Runs and their states. Spec: 04-relay-api §4."""

from uuid import UUID

from sqlalchemy import Connection

from relay.api.states import RUN, SITE, ProjectState, RunState, SiteState
from relay.api.wire import (
    LeaseRequest,
    NewRun,
    RelayRun,
    RunChange,
    RunLease,
    RunReportBody,
    Runs,
    SiteReport,
    SiteReports,
)
from relay.server.core.problem import CONFLICT, FORBIDDEN, NOT_FOUND, QUOTA, STALE_LEASE, Problem
from relay.server.http.access import Access, parse_uuid
from relay.server.http.body import Json
from relay.server.http.context import AnyCall, Call, RouteAnswer
from relay.server.http.route import Route
from relay.server.registry import run_states
from relay.server.store import audit, leases, projects
from relay.server.store import runs as store
from relay.server.store.rows import NamedReport, RunRow


def create(call: Call[None, NewRun], db: Connection) -> RouteAnswer:
    """Create a run with the roster that is in force."""
    wanted = call.body
    number = parse_uuid(call.path["run"], "run")
    found = store.find(db, number)
    if found is not None:
        if _content(found) != (call.project.id, wanted.name, wanted.task, wanted.deadline):
            raise Problem(CONFLICT, "another run has this ID; choose a random one")
        return RouteAnswer(200, _run(found))
    if call.project.state != ProjectState.OPEN:
        raise Problem(CONFLICT, "the project is closed", state=call.project.state)
    if call.project.roster_version is None:
        raise Problem(CONFLICT, "the project has no roster yet")
    if wanted.task is not None and wanted.task >= len(projects.tasks(db, call.project.id)):
        raise Problem(CONFLICT, f"the project has no task {wanted.task}; tasks are numbered from 0")
    if len(store.open_runs(db, call.project.id)) >= call.relay.config.max_open_runs:
        raise Problem(QUOTA, "this project has reached its limit of open runs; end one first")
    version = call.project.roster_version
    store.add(
        db,
        run=number,
        project=call.project.id,
        roster_version=version,
        name=wanted.name,
        now=call.now,
        task=wanted.task,
        deadline=wanted.deadline,
    )
    audit.append(
        db, actor=call.actor, action="run.created", on=f"run/{number}", project=str(call.project.id), roster=version
    )
    return RouteAnswer(201, _run(store.find(db, number)))


def _content(row: RunRow) -> tuple[UUID, str, int | None, float | None]:
    return row.project, row.name, row.task, row.deadline


def list_runs(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return a project's runs, newest first."""
    return RouteAnswer(200, Runs(runs=[_run(row) for row in store.of_project(db, call.project.id)]))


def show(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return a run."""
    del db
    return RouteAnswer(200, _run(call.run))


def change(call: Call[None, RunChange], db: Connection) -> RouteAnswer:
    """Change a run's state by compare-and-set."""
    wanted = call.body
    check_lease(db, call, wanted.lease)
    state = RunState(call.run.state)
    if state != wanted.from_:
        raise Problem(CONFLICT, f"the run is {state}, not {wanted.from_}", state=state)
    if wanted.to not in RUN[state] or not run_states.change(
        db, call.run.id, from_=state, to=wanted.to, reason=wanted.reason, now=call.now, actor=call.actor
    ):
        raise Problem(CONFLICT, f"a run that is {state} cannot become {wanted.to}", state=state)
    return RouteAnswer(200, _run(store.find(db, call.run.id)))


def lease(call: Call[None, LeaseRequest], db: Connection) -> RouteAnswer:
    """Lease the run to one of its coordinator's processes, or release the lease."""
    wanted = call.body
    taken = leases.take(db, _lease_name(call), holder=wanted.holder, ttl_s=wanted.ttl_s)
    if taken is None:
        raise Problem(STALE_LEASE, "another process of this coordinator holds the run; retry when its lease has ended")
    return RouteAnswer(200, RunLease(token=taken.token, until=taken.until))


def check_lease(db: Connection, call: AnyCall, token: int | None) -> None:
    """Keep a process that lost its lease without noticing from changing the run or writing to it."""
    name = _lease_name(call)
    if token is None and leases.is_held(db, name):
        raise Problem(STALE_LEASE, "a process of this coordinator holds the run; send the token of its lease")
    if token is not None and not leases.is_current(db, name, token):
        raise Problem(STALE_LEASE, "another process of this coordinator has taken over the lease")


def _lease_name(call: AnyCall) -> str:
    return f"run/{call.run.id}"


def report(call: Call[None, RunReportBody], db: Connection) -> RouteAnswer:
    """Record the state that the signer reports for the run."""
    wanted = call.body
    found = store.reported(db, call.run.id, call.signer)
    state = SiteState.WAITING if found is None else SiteState(found.state)
    if state != wanted.from_:
        raise Problem(CONFLICT, f"this site is {state}, not {wanted.from_}", state=state)
    if wanted.to not in SITE[state] or not store.report(
        db,
        call.run.id,
        call.signer,
        from_=state,
        to=wanted.to,
        round_=wanted.round,
        reason=wanted.reason,
        now=call.now,
    ):
        raise Problem(CONFLICT, f"a site that is {state} cannot become {wanted.to}", state=state)
    mine = next(row for row in store.reports(db, call.run) if row.key == call.signer)
    return RouteAnswer(200, _report(mine))


def reports(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return the states that sites reported for the run: all of them to its coordinator, only its own to a site."""
    rows = [row for row in store.reports(db, call.run) if call.leads or row.key == call.signer]
    return RouteAnswer(200, SiteReports(sites=[_report(row) for row in rows]))


def _report(row: NamedReport) -> SiteReport:
    return SiteReport(
        key=row.key,
        name=row.name,
        state=SiteState.WAITING if row.state is None else SiteState(row.state),
        round=row.round or 0,
        reason=row.reason or "",
        updated=row.updated,
    )


def _run(row: RunRow | None) -> RelayRun:
    assert row is not None
    return RelayRun(
        id=row.id,
        project=row.project,
        name=row.name,
        roster_version=row.roster_version,
        state=RunState(row.state),
        reason=row.reason,
        created=row.created,
        updated=row.updated,
        task=row.task,
        number=row.number,
        deadline=row.deadline,
    )


ROUTES = (
    Route(
        name="create_run",
        method="PUT",
        path="/v1/projects/{project}/runs/{run}",
        summary="Create a run",
        access=Access.PROJECT_LEADER,
        body=Json(NewRun),
        answers={201: RelayRun, 200: RelayRun},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT, QUOTA),
        writes=create,
    ),
    Route(
        name="runs",
        method="GET",
        path="/v1/projects/{project}/runs",
        summary="A project's runs, newest first",
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
        answers={200: RelayRun},
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
        answers={200: RelayRun},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT, STALE_LEASE),
        writes=change,
    ),
    Route(
        name="lease_run",
        method="PUT",
        path="/v1/runs/{run}/lease",
        summary="Take, renew or release the lease of a run for one process of its coordinator",
        access=Access.RUN_LEADER,
        body=Json(LeaseRequest),
        answers={200: RunLease},
        refusals=(FORBIDDEN, NOT_FOUND, STALE_LEASE),
        writes=lease,
    ),
    Route(
        name="report",
        method="POST",
        path="/v1/runs/{run}/report",
        summary="Report this site's state in a run, by compare-and-set",
        access=Access.RUN_SITE,
        body=Json(RunReportBody),
        answers={200: SiteReport},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        writes=report,
    ),
    Route(
        name="reports",
        method="GET",
        path="/v1/runs/{run}/reports",
        summary="States that the sites of a run reported: all for its coordinator, its own for a site",
        access=Access.RUN_READER,
        answers={200: SiteReports},
        refusals=(NOT_FOUND,),
        reads=reports,
    ),
)
