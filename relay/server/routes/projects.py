"""Projects: terms, members, rosters. Spec: 04-relay-api §3."""

from sqlalchemy import Connection

from relay.api.states import IN_ROSTER, MEMBER, TAKES_PART, Cause, MemberState, ProjectState
from relay.api.wire import (
    Member,
    MemberAnswer,
    NewProject,
    NewTasks,
    Projects,
    ProjectSummary,
    RelayProject,
    RosterSites,
    SealedRoster,
    Task,
    to_base64url,
)
from relay.server.core.problem import BAD_REQUEST, CONFLICT, FORBIDDEN, NOT_FOUND, QUOTA, Problem
from relay.server.http.access import Access, not_found, parse_uuid, path_key
from relay.server.http.body import Json
from relay.server.http.context import AnyCall, Call, RouteAnswer
from relay.server.http.route import Route
from relay.server.store import audit, sites
from relay.server.store import projects as store
from relay.server.store.rows import JoinedProject, NamedMember, ProjectRow


def create(call: Call[None, NewProject], db: Connection) -> RouteAnswer:
    """Create a project; its name and its terms never change."""
    wanted = call.body
    number = parse_uuid(call.path["project"], "project")
    found = store.find(db, number)
    if found is None:
        if store.open_projects(db, call.signer) >= call.relay.config.max_open_projects:
            raise Problem(QUOTA, "this coordinator has reached its limit of open projects; close one first")
        store.add(db, project=number, name=wanted.name, coordinator=call.signer, terms=wanted.terms, now=call.now)
        audit.append(db, actor=call.actor, action="project.created", on=f"project/{number}", name=wanted.name)
        return RouteAnswer(201, _project(db, store.find(db, number)))
    if found.coordinator != call.signer:
        raise Problem(FORBIDDEN, "another coordinator has a project with this ID; choose a random one")
    if (found.name, found.terms) != (wanted.name, wanted.terms):
        raise Problem(CONFLICT, "this project exists with another name or other terms, which cannot change")
    return RouteAnswer(200, _project(db, found))


def list_projects(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return the projects that the site leads or is a member of."""
    led = [_summary(row, None) for row in store.led_by(db, call.signer)]
    joined = [_summary(row, MemberState(row.membership)) for row in store.joined_by(db, call.signer)]
    return RouteAnswer(200, Projects(projects=led + joined))


def show(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return a project with its members."""
    return RouteAnswer(200, _project(db, call.project))


def show_anew(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return the project that a coordinator's repeated write concerned."""
    return RouteAnswer(200, _project(db, store.find(db, parse_uuid(call.path["project"], "project"))))


def invite(call: AnyCall, db: Connection) -> RouteAnswer:
    """Invite a site, including one that declined or left before."""
    _must_be_open(call)
    key = path_key(call)
    if key == call.signer:
        raise Problem(BAD_REQUEST, "the coordinator cannot be a member of its own project")
    site = sites.find(db, key)
    if site is None or site.role not in TAKES_PART or site.ended is not None:
        raise not_found("site")
    member = store.member(db, call.project.id, key)
    state = None if member is None else MemberState(member.state)
    if state is None:
        store.invite(db, project=call.project.id, site=key, now=call.now)
    elif (state, Cause.INVITATION, MemberState.INVITED) in MEMBER:
        store.move_member(db, project=call.project.id, site=key, from_=state, to=MemberState.INVITED, now=call.now)
    else:
        return RouteAnswer(200, _member(member))
    _audit_member(db, call, "member.invited", key)
    return RouteAnswer(201, _member(store.member(db, call.project.id, key)))


def remove(call: AnyCall, db: Connection) -> RouteAnswer:
    """Remove a member; it learns nothing more about the project and takes part in no runs from now on."""
    key = path_key(call)
    member = store.member(db, call.project.id, key)
    if member is None:
        raise not_found("member")
    state = MemberState(member.state)
    if (state, Cause.REMOVAL, MemberState.LEFT) in MEMBER:
        store.move_member(
            db,
            project=call.project.id,
            site=key,
            from_=state,
            to=MemberState.LEFT,
            now=call.now,
            reason="removed by the coordinator",
        )
        _audit_member(db, call, "member.removed", key)
    return RouteAnswer(200, _member(store.member(db, call.project.id, key)))


def set_tasks(call: Call[None, NewTasks], db: Connection) -> RouteAnswer:
    """Replace a project's tasks if they are still those that the coordinator saw."""
    _must_be_open(call)
    wanted = call.body
    tasks = [(task.name, task.parameters) for task in wanted.tasks]
    if not store.replace_tasks(db, call.project.id, version=wanted.version, tasks=tasks):
        raise Problem(CONFLICT, f"the tasks have version {call.project.tasks_version}; read them again")
    audit.append(
        db, actor=call.actor, action="project.tasks", on=f"project/{call.project.id}", version=wanted.version + 1
    )
    return RouteAnswer(200, _project(db, store.find(db, call.project.id)))


def answer(call: Call[None, MemberAnswer], db: Connection) -> RouteAnswer:
    """Change the signer's own state in the project."""
    wanted = call.body
    _check_version(db, call, wanted)
    state = call.membership
    assert state is not None  # the rule admits members only
    if state == wanted.state:  # confirming a version not in force was refused above
        return RouteAnswer(200, _member(store.member(db, call.project.id, call.signer)))
    if (state, Cause.ANSWER, wanted.state) not in MEMBER or not store.move_member(
        db,
        project=call.project.id,
        site=call.signer,
        from_=state,
        to=wanted.state,
        now=call.now,
        reason=wanted.reason,
        roster_version=wanted.roster_version,
    ):
        raise Problem(CONFLICT, f"a member that is {state} cannot become {wanted.state}", state=state)
    _audit_member(db, call, f"member.{wanted.state}", call.signer, reason=wanted.reason, version=wanted.roster_version)
    return RouteAnswer(200, _member(store.member(db, call.project.id, call.signer)))


def _check_version(db: Connection, call: AnyCall, wanted: MemberAnswer) -> None:
    if wanted.state == MemberState.INVITED:
        raise Problem(BAD_REQUEST, "only the coordinator can invite")
    if (wanted.state == MemberState.CONFIRMED) != (wanted.roster_version is not None):
        raise Problem(BAD_REQUEST, "give roster_version with the state confirmed, and only with it")
    if wanted.roster_version is None:
        return
    if wanted.roster_version != call.project.roster_version:
        raise Problem(CONFLICT, f"roster version {call.project.roster_version} is in force; confirm that one")
    if not store.in_roster(db, call.project.id, wanted.roster_version, call.signer):
        raise Problem(CONFLICT, "this site is not in the roster")


def seal_roster(call: Call[None, RosterSites], db: Connection) -> RouteAnswer:
    """Put a roster of joined sites in force; a changed roster voids all confirmations."""
    _must_be_open(call)
    wanted = call.body
    keys = sorted(set(wanted.sites))
    if len(keys) != len(wanted.sites):
        raise Problem(BAD_REQUEST, "a key is listed twice")
    version = call.project.roster_version
    if version is not None and store.roster(db, call.project.id, version) == keys:
        return RouteAnswer(200, SealedRoster(version=version, sites=keys))
    ready = {row.site for row in store.members(db, call.project.id) if row.state in IN_ROSTER}
    if missing := [key for key in keys if key not in ready]:
        raise Problem(
            CONFLICT, f"{len(missing)} of these sites have not joined, the first being {to_base64url(missing[0])}"
        )
    version = (version or 0) + 1
    store.void_confirmations(db, project=call.project.id, now=call.now)
    store.add_roster(db, project=call.project.id, version=version, sites=keys)
    audit.append(
        db, actor=call.actor, action="roster.sealed", on=f"project/{call.project.id}", version=version, sites=len(keys)
    )
    return RouteAnswer(201, SealedRoster(version=version, sites=keys))


def close(call: AnyCall, db: Connection) -> RouteAnswer:
    """Close a project; its open runs continue."""
    if call.project.state == ProjectState.OPEN:
        store.close(db, call.project.id)
        audit.append(db, actor=call.actor, action="project.closed", on=f"project/{call.project.id}")
    return RouteAnswer(200, _project(db, store.find(db, call.project.id)))


def _must_be_open(call: AnyCall) -> None:
    if call.project.state != ProjectState.OPEN:
        raise Problem(CONFLICT, "the project is closed", state=call.project.state)


def _audit_member(db: Connection, call: AnyCall, action: str, key: bytes, **detail: object) -> None:
    given = {name: value for name, value in detail.items() if value}
    audit.append(
        db, actor=call.actor, action=action, on=f"project/{call.project.id}/member/{to_base64url(key)}", **given
    )


def _project(db: Connection, row: ProjectRow | None) -> RelayProject:
    assert row is not None
    version = row.roster_version
    return RelayProject(
        id=row.id,
        name=row.name,
        coordinator=row.coordinator,
        terms=row.terms,
        state=ProjectState(row.state),
        roster=None if version is None else SealedRoster(version=version, sites=store.roster(db, row.id, version)),
        members=[_member(member) for member in store.members(db, row.id)],
        tasks=[Task(name=task.name, parameters=task.parameters) for task in store.tasks(db, row.id)],
        tasks_version=row.tasks_version,
    )


def _summary(row: ProjectRow | JoinedProject, membership: MemberState | None) -> ProjectSummary:
    return ProjectSummary(
        id=row.id,
        name=row.name,
        coordinator=row.coordinator,
        state=ProjectState(row.state),
        roster_version=row.roster_version,
        membership=membership,
    )


def _member(row: NamedMember | None) -> Member:
    assert row is not None
    return Member(
        key=row.site,
        name=row.name,
        state=MemberState(row.state),
        reason=row.reason,
        roster_version=row.roster_version,
    )


ROUTES = (
    Route(
        name="create_project",
        method="PUT",
        path="/v1/projects/{project}",
        summary="Create a project",
        access=Access.COORDINATOR,
        body=Json(NewProject, most=128 << 10),
        answers={201: RelayProject, 200: RelayProject},
        refusals=(FORBIDDEN, CONFLICT, QUOTA),
        writes=create,
        again=show_anew,
    ),
    Route(
        name="projects",
        method="GET",
        path="/v1/projects",
        summary="The projects that this site leads or is a member of",
        access=Access.SITE,
        answers={200: Projects},
        reads=list_projects,
    ),
    Route(
        name="project",
        method="GET",
        path="/v1/projects/{project}",
        summary="A project with its terms, members and roster",
        access=Access.PROJECT_READER,
        answers={200: RelayProject},
        refusals=(NOT_FOUND,),
        reads=show,
    ),
    Route(
        name="invite",
        method="PUT",
        path="/v1/projects/{project}/members/{key}",
        summary="Invite a site",
        access=Access.PROJECT_LEADER,
        answers={201: Member, 200: Member},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        writes=invite,
    ),
    Route(
        name="remove_member",
        method="DELETE",
        path="/v1/projects/{project}/members/{key}",
        summary="Remove a member from a project",
        access=Access.PROJECT_LEADER,
        answers={200: Member},
        refusals=(FORBIDDEN, NOT_FOUND),
        writes=remove,
    ),
    Route(
        name="set_tasks",
        method="PUT",
        path="/v1/projects/{project}/tasks",
        summary="Replace a project's tasks",
        access=Access.PROJECT_LEADER,
        body=Json(NewTasks, most=3 << 20),
        answers={200: RelayProject},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        writes=set_tasks,
        again=show_anew,
    ),
    Route(
        name="answer",
        method="PUT",
        path="/v1/projects/{project}/answer",
        summary="Join, decline, confirm the roster, or leave",
        access=Access.PROJECT_INVITED,
        body=Json(MemberAnswer),
        answers={200: Member},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        writes=answer,
    ),
    Route(
        name="seal_roster",
        method="PUT",
        path="/v1/projects/{project}/roster",
        summary="Put a roster of joined sites in force",
        access=Access.PROJECT_LEADER,
        body=Json(RosterSites, most=4 << 20),
        answers={201: SealedRoster, 200: SealedRoster},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        writes=seal_roster,
    ),
    Route(
        name="close_project",
        method="POST",
        path="/v1/projects/{project}/close",
        summary="Close a project: no more invitations, rosters or runs",
        access=Access.PROJECT_LEADER,
        answers={200: RelayProject},
        refusals=(FORBIDDEN, NOT_FOUND),
        writes=close,
        again=show_anew,
    ),
)
