"""Projects, their members and their rosters."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, desc, func, insert, select, update

from relay.api.states import ACTIVE_MEMBER, MemberState, ProjectState
from relay.server.store import schema
from relay.server.store.rows import JoinedProject, MemberRow, NamedMember, ProjectRow, TaskRow, every, first

_project, _member, _roster, _site = schema.project, schema.member, schema.roster, schema.site
_task = schema.task
_this = _project.c.id == bindparam("the_project")
_of_this = _member.c.project == bindparam("the_project")
_mine = _member.c.site == bindparam("the_site")
_named = select(_member, _site.c.name).join(_site, _site.c.key == _member.c.site)
_version = (_roster.c.project == bindparam("the_project")) & (_roster.c.version == bindparam("the_version"))

_FIND = select(_project).where(_this)
_ADD = insert(_project)
_CHANGE = update(_project).where(_this)
_LED_BY = select(_project).where(_project.c.coordinator == bindparam("the_site")).order_by(desc(_project.c.created))
_JOINED_BY = (
    select(_project, _member.c.state.label("membership"))
    .join(_member, _member.c.project == _project.c.id)
    .where(_mine, _member.c.state.in_(ACTIVE_MEMBER))
    .order_by(desc(_project.c.created))
)
_MEMBERS = _named.where(_of_this).order_by(_member.c.site)
_MEMBER = _named.where(_of_this, _mine)
_STATE = select(_member.c.state).where(_of_this, _mine)
_ADD_MEMBER = insert(_member)
_MOVE = update(_member).where(_of_this, _mine, _member.c.state == bindparam("the_state"))
_VOID = update(_member).where(_of_this, _member.c.state == MemberState.CONFIRMED)
_ROSTER = select(_roster.c.site).where(_version)
_IN_ROSTER = select(_roster.c.site).where(_version, _roster.c.site == bindparam("the_site"))
_ADD_TO_ROSTER = insert(_roster)
_MEMBERSHIPS = select(_member).where(_mine, _member.c.state.in_(ACTIVE_MEMBER)).order_by(_member.c.project)
_TASKS = (
    select(_task.c.name, _task.c.parameters)
    .where(_task.c.project == bindparam("the_project"))
    .order_by(_task.c.position)
)
_CLEAR_TASKS = delete(_task).where(_task.c.project == bindparam("the_project"))
_ADD_TASK = insert(_task)
_NEXT_TASKS = update(_project).where(_this, _project.c.tasks_version == bindparam("the_version"))
_OPEN = (
    select(func.count())
    .select_from(_project)
    .where(_project.c.coordinator == bindparam("the_site"), _project.c.state == ProjectState.OPEN)
)


def find(db: Connection, project: UUID) -> ProjectRow | None:
    """Return a project."""
    return first(ProjectRow, db.execute(_FIND, {"the_project": project}))


def add(db: Connection, *, project: UUID, name: str, coordinator: bytes, terms: bytes, now: float) -> None:
    """Create an open project without members."""
    values = {"id": project, "name": name, "coordinator": coordinator, "terms": terms, "created": now}
    db.execute(_ADD, values | {"state": ProjectState.OPEN, "roster_version": None})


def close(db: Connection, project: UUID) -> None:
    """Close a project permanently."""
    db.execute(_CHANGE, {"the_project": project, "state": ProjectState.CLOSED})


def led_by(db: Connection, coordinator: bytes) -> list[ProjectRow]:
    """Return the projects that a site leads, newest first."""
    return every(ProjectRow, db.execute(_LED_BY, {"the_site": coordinator}))


def joined_by(db: Connection, site: bytes) -> list[JoinedProject]:
    """Return the projects of which a site is an active member, with its state as `membership`, newest first."""
    return every(JoinedProject, db.execute(_JOINED_BY, {"the_site": site}))


def members(db: Connection, project: UUID) -> list[NamedMember]:
    """Return a project's members with their names, sorted by key."""
    return every(NamedMember, db.execute(_MEMBERS, {"the_project": project}))


def member(db: Connection, project: UUID, site: bytes) -> NamedMember | None:
    """Return one member with its name."""
    return first(NamedMember, db.execute(_MEMBER, {"the_project": project, "the_site": site}))


def membership(db: Connection, project: UUID, site: bytes) -> MemberState | None:
    """Return a site's state in a project; None if it was never invited."""
    state = db.scalar(_STATE, {"the_project": project, "the_site": site})
    return None if state is None else MemberState(state)


def invite(db: Connection, *, project: UUID, site: bytes, now: float, state: MemberState = MemberState.INVITED) -> None:
    """Add a site as an invited member, or in another state if it replaces another key."""
    values = {"project": project, "site": site, "state": state, "reason": "", "updated": now}
    db.execute(_ADD_MEMBER, values)


def move_member(
    db: Connection,
    *,
    project: UUID,
    site: bytes,
    from_: MemberState,
    to: MemberState,
    now: float,
    reason: str = "",
    roster_version: int | None = None,
) -> bool:
    """Change a member's state if it is still `from_`; returns False otherwise."""
    there = {"the_project": project, "the_site": site, "the_state": from_}
    values = {"state": to, "reason": reason, "roster_version": roster_version, "updated": now}
    return db.execute(_MOVE, there | values).rowcount == 1


def void_confirmations(db: Connection, *, project: UUID, now: float) -> None:
    """Set all confirmed members back to joined, as the roster in force is no longer the one they confirmed."""
    values = {"state": MemberState.JOINED, "roster_version": None, "updated": now}
    db.execute(_VOID, {"the_project": project} | values)


def roster(db: Connection, project: UUID, version: int) -> list[bytes]:
    """Return the keys in a roster version, ascending."""
    return sorted(db.scalars(_ROSTER, {"the_project": project, "the_version": version}))


def in_roster(db: Connection, project: UUID, version: int, site: bytes) -> bool:
    """Return whether a site is in a roster version."""
    row = {"the_project": project, "the_version": version, "the_site": site}
    return db.execute(_IN_ROSTER, row).first() is not None


def add_roster(db: Connection, *, project: UUID, version: int, sites: Sequence[bytes]) -> None:
    """Store a roster version and put it in force."""
    db.execute(_ADD_TO_ROSTER, [{"project": project, "version": version, "site": site} for site in sites])
    db.execute(_CHANGE, {"the_project": project, "roster_version": version})


def memberships(db: Connection, site: bytes) -> list[MemberRow]:
    """Return a site's active memberships."""
    return every(MemberRow, db.execute(_MEMBERSHIPS, {"the_site": site}))


def lead(db: Connection, project: UUID, coordinator: bytes) -> None:
    """Make another site the coordinator of a project."""
    db.execute(_CHANGE, {"the_project": project, "coordinator": coordinator})


def open_projects(db: Connection, coordinator: bytes) -> int:
    """Return how many open projects a site leads."""
    return db.execute(_OPEN, {"the_site": coordinator}).scalar_one()


def tasks(db: Connection, project: UUID) -> list[TaskRow]:
    """Return a project's tasks in order."""
    return every(TaskRow, db.execute(_TASKS, {"the_project": project}))


def replace_tasks(db: Connection, project: UUID, *, version: int, tasks: Sequence[tuple[str, bytes]]) -> bool:
    """Replace the tasks and increment the version if it is still `version`; returns False otherwise."""
    there = {"the_project": project, "the_version": version}
    if db.execute(_NEXT_TASKS, there | {"tasks_version": version + 1}).rowcount == 0:
        return False
    db.execute(_CLEAR_TASKS, {"the_project": project})
    rows = [
        {"project": project, "position": at, "name": name, "parameters": parameters}
        for at, (name, parameters) in enumerate(tasks)
    ]
    if rows:
        db.execute(_ADD_TASK, rows)
    return True
