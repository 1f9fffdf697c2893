"""Counts for the metrics and for the operator's commands."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, and_, bindparam, desc, func, or_, select

from relay.api.states import ACTIVE_MEMBER, FINAL_RUN, ProjectState, RunState
from relay.server.store import schema
from relay.server.store.rows import NamedUsage, OpenRun, every

_run, _site, _token, _nonce = schema.run, schema.site, schema.token, schema.nonce
_roster, _member, _project, _message, _usage = (
    schema.roster, schema.member, schema.project, schema.message, schema.usage
)  # fmt: skip

_is_open = _run.c.state.not_in(FINAL_RUN)
_last_message = (
    select(_message.c.created)
    .where(_message.c.run == _run.c.id)
    .order_by(desc(_message.c.id))
    .limit(1)
    .scalar_subquery()
)
_silent = or_(
    _site.c.last_seen < bindparam("then"), and_(_site.c.last_seen.is_(None), _site.c.enrolled < bindparam("then"))
)

_BY_STATE = select(_run.c.state, func.count()).group_by(_run.c.state)
_BY_REASON = (
    select(_run.c.reason, func.count())
    .where(_run.c.state.in_({RunState.FAILED, RunState.CANCELLED}))
    .group_by(_run.c.reason)
)
_OPEN = (
    select(_run, _project.c.name.label("project_name"), _last_message.label("last_message"))
    .join(_project, _project.c.id == _run.c.project)
    .where(_is_open)
    .order_by(_run.c.created)
)
_LAST_SUCCESS = select(func.max(_run.c.updated)).where(_run.c.state == RunState.COMPLETED)
_SILENT_IN_RUNS = (
    select(func.count(_site.c.key.distinct()))
    .select_from(_run)
    .join(_roster, and_(_roster.c.project == _run.c.project, _roster.c.version == _run.c.roster_version))
    .join(_site, _site.c.key == _roster.c.site)
    .where(_is_open, _silent)
)
_SILENT_MEMBERS = (
    select(func.count(_site.c.key.distinct()))
    .select_from(_member)
    .join(_project, _project.c.id == _member.c.project)
    .join(_site, _site.c.key == _member.c.site)
    .where(_project.c.state == ProjectState.OPEN, _member.c.state.in_(ACTIVE_MEMBER), _silent)
)
_BY_ROLE = select(_site.c.role, func.count()).group_by(_site.c.role)
_OLDEST_SITE = select(func.min(_site.c.enrolled))
_OPEN_TOKENS = select(func.count()).where(
    _token.c.used.is_(None), _token.c.revoked.is_(None), _token.c.expires > bindparam("the_now")
)
_NONCES = select(func.count()).select_from(_nonce)
_USAGE = (
    select(_usage, _site.c.name.label("site_name"))
    .join(_site, _site.c.key == _usage.c.site)
    .join(_run, _run.c.id == _usage.c.run)
    .where(_is_open)
    .order_by(_usage.c.run, _site.c.name)
)

SILENT_IN_RUN_S = 300
SILENT_MEMBER_S = 86_400


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Counts of the database's content at one point in time.

    Attributes:
        runs: number of runs by state; states without runs are omitted.
        aborts: number of failed and cancelled runs by the coordinator's or operator's reason.
        last_activity: time of the last message or change of state of each open run.
        last_success: time at which a run last completed, or None.
        silent_in_runs: number of sites of open runs not seen for five minutes.
        silent_members: number of members of open projects not seen for a day.
        sites: number of sites by role.
        oldest_site: enrolment time of the oldest key in use, or None.
        open_tokens: number of usable join tokens.
        nonces: number of stored writes.
    """

    runs: dict[str, int]
    aborts: dict[str, int]
    last_activity: dict[UUID, float]
    last_success: float | None
    silent_in_runs: int
    silent_members: int
    sites: dict[str, int]
    oldest_site: float | None
    open_tokens: int
    nonces: int


def take(db: Connection, *, now: float) -> StateCounts:
    """Count everything in one view."""
    return StateCounts(
        runs=_pairs(db, _BY_STATE),
        aborts=_pairs(db, _BY_REASON),
        last_activity={row.id: max(row.updated, row.last_message or 0.0) for row in open_runs(db)},
        last_success=db.scalar(_LAST_SUCCESS),
        silent_in_runs=db.scalar(_SILENT_IN_RUNS, {"then": now - SILENT_IN_RUN_S}) or 0,
        silent_members=db.scalar(_SILENT_MEMBERS, {"then": now - SILENT_MEMBER_S}) or 0,
        sites=_pairs(db, _BY_ROLE),
        oldest_site=db.scalar(_OLDEST_SITE),
        open_tokens=db.scalar(_OPEN_TOKENS, {"the_now": now}) or 0,
        nonces=db.scalar(_NONCES) or 0,
    )


def open_runs(db: Connection) -> list[OpenRun]:
    """Return the open runs with their project's name and `last_message`, oldest first."""
    return every(OpenRun, db.execute(_OPEN))


def usage(db: Connection) -> list[NamedUsage]:
    """Return each site's quota usage in each open run, with the site's name."""
    return every(NamedUsage, db.execute(_USAGE))


def _pairs(db: Connection, query: Select[Any]) -> dict[str, int]:
    return {label: number for label, number in db.execute(query)}  # noqa: C416  # the type checker does not see rows as pairs
