"""The end of a key: revoked by the operator, deregistered, or replaced by its successor. Spec: 04-relay-api §2.

An ended key is refused for ever and leaves nothing waiting for it: no membership, no project without a coordinator, no
open run of such a project, no undelivered message.
"""

from itertools import count
from uuid import UUID

from sqlalchemy import Connection

from relay.api.states import ACTIVE_MEMBER, IN_ROSTER, Ending, MemberState, ProjectState, RunState
from relay.api.wire import to_base64url
from relay.server.core.problem import CONFLICT, Problem
from relay.server.registry import run_states
from relay.server.store import audit, messages, projects, runs, sites
from relay.server.store.rows import MemberRow, ProjectRow, SiteRow
from secagg.identity import fingerprint

_KEPT_OF_NAME = 60


def end(db: Connection, site: SiteRow, ending: Ending, *, actor: str, reason: str, now: float) -> set[bytes]:
    """End a valid site; returns the sites whose long polls must be woken."""
    word = f"the key was {ending}"
    woken = {site.key}
    for membership in projects.memberships(db, site.key):
        _leave(db, membership, reason=word, now=now)
        woken.add(_project(db, membership.project).coordinator)
    for project in projects.led_by(db, site.key):
        for run in runs.open_runs(db, project.id):
            woken.update(runs.sites(db, run))
            state, why = RunState(run.state), f"coordinator: {word}"
            run_states.change(db, run.id, from_=state, to=RunState.FAILED, reason=why, now=now, actor=actor)
        if project.state == ProjectState.OPEN:
            projects.close(db, project.id)
            audit.append(db, actor=actor, action="project.closed", on=f"project/{project.id}", reason=word)
    messages.drop_deliveries(db, site.key)
    _bury(db, site, ending, now=now)
    audit.append(
        db, actor=actor, action=f"site.{ending}", on=f"site/{to_base64url(site.key)}", name=site.name, reason=reason
    )
    return woken


def succeed(db: Connection, site: SiteRow, successor: bytes, *, now: float) -> set[bytes]:
    """Replace a site with another key; returns the sites whose long polls must be woken.

    The successor takes over the old key's name, role, labels, projects and memberships; the latter become unconfirmed,
    as nobody has compared the words that include the new key.

    Raises:
        Problem: `conflict` while a run depends on the old key: its frames are checked against that key until it ends.
    """
    led, joined = projects.led_by(db, site.key), projects.memberships(db, site.key)
    _refuse_open_runs(db, site, led, joined)
    _bury(db, site, Ending.ROTATED, now=now)
    sites.add(db, key=successor, name=site.name, role=site.role, now=now, labels=site.labels, predecessor=site.key)
    woken = {site.key}
    for membership in joined:
        state = MemberState.JOINED if membership.state in IN_ROSTER else MemberState(membership.state)
        _leave(db, membership, reason="the key was rotated", now=now)
        projects.invite(db, project=membership.project, site=successor, now=now, state=state)
        woken.add(_project(db, membership.project).coordinator)
    for project in led:
        projects.lead(db, project.id, successor)
        if project.roster_version is not None:  # a roster includes its coordinator, so it changes
            keys = projects.roster(db, project.id, project.roster_version)
            projects.void_confirmations(db, project=project.id, now=now)
            projects.add_roster(db, project=project.id, version=project.roster_version + 1, sites=keys)
            woken.update(keys)
    old, new = to_base64url(site.key), to_base64url(successor)
    audit.append(db, actor=new, action="site.rotated", on=f"site/{old}", name=site.name, successor=new)
    return woken


def _refuse_open_runs(db: Connection, site: SiteRow, led: list[ProjectRow], joined: list[MemberRow]) -> None:
    for project in (row.id for row in led):
        if runs.open_runs(db, project):
            raise Problem(CONFLICT, "a project that this site leads has an open run; complete or cancel it first")
    for project in (row.project for row in joined):
        if any(runs.takes_part(db, run, site.key) for run in runs.open_runs(db, project)):
            raise Problem(CONFLICT, "this site takes part in an open run; wait until it ends, or leave the project")


def _leave(db: Connection, membership: MemberRow, *, reason: str, now: float) -> None:
    state = MemberState(membership.state)
    assert state in ACTIVE_MEMBER  # `memberships` returns only these
    projects.move_member(
        db,
        project=membership.project,
        site=membership.site,
        from_=state,
        to=MemberState.LEFT,
        now=now,
        reason=reason,
    )


def _bury(db: Connection, site: SiteRow, ending: Ending, *, now: float) -> None:
    sites.end(db, site.key, name=_free_name(db, site, ending), ending=ending, now=now)


def _free_name(db: Connection, site: SiteRow, ending: Ending) -> str:
    """Return a name for an ended key. Someone who foresaw the end may already have enrolled under the first choice."""
    for number in count():
        name = f"{site.name[:_KEPT_OF_NAME]} ({ending} {fingerprint(site.key)}{f' {number}' if number else ''})"
        if not sites.name_is_taken(db, name):
            return name
    raise AssertionError("numbers never run out")


def _project(db: Connection, number: UUID) -> ProjectRow:
    found = projects.find(db, number)
    assert found is not None  # a membership references it
    return found
