"""Runs, their participating sites, and each site's quota usage."""

from uuid import UUID

from sqlalchemy import Connection, bindparam, desc, func, insert, select, update

from relay.api.states import FINAL_RUN, IN_ROSTER, RunState, SiteState
from relay.server.store import schema
from relay.server.store.rows import NamedReport, ReportRow, RunRow, UsageRow, every, first

_run, _usage, _roster, _member = schema.run, schema.usage, schema.roster, schema.member
_report, _site = schema.report, schema.site
_this = _run.c.id == bindparam("the_run")

_FIND = select(_run).where(_this)
_ADD = insert(_run)
_OF_PROJECT = select(_run).where(_run.c.project == bindparam("the_project")).order_by(desc(_run.c.created))
_CHANGE = update(_run).where(_this, _run.c.state == bindparam("the_state"))
_SITES = (
    select(_roster.c.site)
    .join(_member, (_member.c.project == _roster.c.project) & (_member.c.site == _roster.c.site))
    .where(
        _roster.c.project == bindparam("the_project"),
        _roster.c.version == bindparam("the_version"),
        _member.c.state.in_(IN_ROSTER),
    )
)
_SITE = _SITES.where(_roster.c.site == bindparam("the_site"))
_COUNT = select(func.count()).select_from(_run).where(_run.c.project == bindparam("the_project"))
_OPEN = select(_run).where(_run.c.project == bindparam("the_project"), _run.c.state.not_in(FINAL_RUN))
_OVERDUE = select(_run).where(_run.c.deadline < bindparam("then"), _run.c.state.not_in(FINAL_RUN)).order_by(_run.c.id)
_its_report = (_report.c.run == bindparam("the_run")) & (_report.c.site == bindparam("the_site"))
_REPORT = update(_report).where(_its_report, _report.c.state == bindparam("the_state"))
_FIRST_REPORT = insert(_report)
_REPORTED = select(_report).where(_its_report)
_REPORTS = (
    select(_site.c.key, _site.c.name, _report.c.state, _report.c.round, _report.c.reason, _report.c.updated)
    .select_from(_roster)
    .join(_site, _site.c.key == _roster.c.site)
    .outerjoin(_report, (_report.c.run == bindparam("the_run")) & (_report.c.site == _roster.c.site))
    .where(_roster.c.project == bindparam("the_project"), _roster.c.version == bindparam("the_version"))
    .order_by(_site.c.key)
)
_CHARGE = (
    update(_usage)
    .where(_usage.c.run == bindparam("the_run"), _usage.c.site == bindparam("the_site"))
    .values(
        messages=_usage.c.messages + bindparam("more_messages"),
        frame_bytes=_usage.c.frame_bytes + bindparam("more_frame_bytes"),
        payload_bytes=_usage.c.payload_bytes + bindparam("more_payload_bytes"),
    )
    .returning(*_usage.c)
)
_FIRST_CHARGE = insert(_usage).returning(*_usage.c)


def find(db: Connection, run: UUID) -> RunRow | None:
    """Return a run."""
    return first(RunRow, db.execute(_FIND, {"the_run": run}))


def add(
    db: Connection,
    *,
    run: UUID,
    project: UUID,
    roster_version: int,
    name: str,
    now: float,
    task: int | None = None,
    deadline: float | None = None,
) -> None:
    """Create a run with the roster in force and number it."""
    number = db.execute(_COUNT, {"the_project": project}).scalar_one() + 1
    values = {"id": run, "project": project, "roster_version": roster_version, "name": name}
    state = {"state": RunState.CREATED, "reason": "", "created": now, "updated": now}
    db.execute(_ADD, values | state | {"task": task, "number": number, "deadline": deadline})


def open_runs(db: Connection, project: UUID) -> list[RunRow]:
    """Return a project's open runs."""
    return every(RunRow, db.execute(_OPEN, {"the_project": project}))


def overdue(db: Connection, *, then: float) -> list[RunRow]:
    """Return the open runs with a deadline before `then`."""
    return every(RunRow, db.execute(_OVERDUE, {"then": then}))


def report(
    db: Connection, run: UUID, site: bytes, *, from_: SiteState, to: SiteState, round_: int, reason: str, now: float
) -> bool:
    """Record the state that a site reports if its last one was `from_`; returns False otherwise."""
    there = {"the_run": run, "the_site": site}
    values = {"state": to, "round": round_, "reason": reason, "updated": now}
    if db.execute(_REPORT, there | {"the_state": from_} | values).rowcount == 1:
        return True
    if from_ != SiteState.WAITING or db.execute(_REPORTED, there).first() is not None:
        return False
    db.execute(_FIRST_REPORT, {"run": run, "site": site} | values)
    return True


def reported(db: Connection, run: UUID, site: bytes) -> ReportRow | None:
    """Return a site's last report for a run."""
    return first(ReportRow, db.execute(_REPORTED, {"the_run": run, "the_site": site}))


def reports(db: Connection, run: RunRow) -> list[NamedReport]:
    """Return the key, name and last report of each site in the run's roster, sorted by key."""
    row = {"the_run": run.id, "the_project": run.project, "the_version": run.roster_version}
    return every(NamedReport, db.execute(_REPORTS, row))


def of_project(db: Connection, project: UUID) -> list[RunRow]:
    """Return a project's runs, newest first."""
    return every(RunRow, db.execute(_OF_PROJECT, {"the_project": project}))


def change(db: Connection, run: UUID, *, from_: RunState, to: RunState, reason: str, now: float) -> bool:
    """Change a run's state if it is still `from_`; returns False otherwise."""
    values = {"state": to, "reason": reason, "updated": now}
    return db.execute(_CHANGE, {"the_run": run, "the_state": from_} | values).rowcount == 1


def sites(db: Connection, run: RunRow) -> list[bytes]:
    """Return the sites that take part: those in the run's roster that have not left the project, ascending."""
    return sorted(db.scalars(_SITES, {"the_project": run.project, "the_version": run.roster_version}))


def takes_part(db: Connection, run: RunRow, site: bytes) -> bool:
    """Return whether a site is one of `sites`."""
    row = {"the_project": run.project, "the_version": run.roster_version, "the_site": site}
    return db.execute(_SITE, row).first() is not None


def charge(
    db: Connection, run: UUID, site: bytes, *, messages: int = 0, frame_bytes: int = 0, payload_bytes: int = 0
) -> UsageRow:
    """Add to a site's usage in a run and return the totals."""
    more = {"more_messages": messages, "more_frame_bytes": frame_bytes, "more_payload_bytes": payload_bytes}
    used = first(UsageRow, db.execute(_CHARGE, {"the_run": run, "the_site": site} | more))
    if used is not None:
        return used
    amounts = {"messages": messages, "frame_bytes": frame_bytes, "payload_bytes": payload_bytes}
    return UsageRow(*db.execute(_FIRST_CHARGE, {"run": run, "site": site} | amounts).one())
