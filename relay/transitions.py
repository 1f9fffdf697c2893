"""Which state may follow which: one table for runs, one for members. The store changes states by compare-and-set.

Spec: 04-relay-api §3 and §4. A change that is not in a table does not exist.
"""

from enum import StrEnum


class Role(StrEnum):
    """What a site's join token made it."""

    SITE = "site"
    COORDINATOR = "coordinator"


class ProjectState(StrEnum):
    """A closed project takes no invitations, rosters or runs."""

    OPEN = "open"
    CLOSED = "closed"


class MemberState(StrEnum):
    """Where a site stands in a project."""

    INVITED = "invited"
    JOINED = "joined"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    LEFT = "left"


class RunState(StrEnum):
    """Where a run stands; the last three are final."""

    CREATED = "created"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Cause(StrEnum):
    """What moves a member from one state to another."""

    INVITATION = "invitation"  # of the coordinator
    ANSWER = "answer"  # of the site itself
    ROSTER = "roster"  # a new version of the roster voids the confirmation of the old one


MEMBER: frozenset[tuple[MemberState, Cause, MemberState]] = frozenset(
    {
        (MemberState.INVITED, Cause.ANSWER, MemberState.JOINED),
        (MemberState.INVITED, Cause.ANSWER, MemberState.DECLINED),
        (MemberState.JOINED, Cause.ANSWER, MemberState.CONFIRMED),
        (MemberState.JOINED, Cause.ANSWER, MemberState.LEFT),
        (MemberState.CONFIRMED, Cause.ANSWER, MemberState.LEFT),
        (MemberState.CONFIRMED, Cause.ROSTER, MemberState.JOINED),
        (MemberState.DECLINED, Cause.INVITATION, MemberState.INVITED),
        (MemberState.LEFT, Cause.INVITATION, MemberState.INVITED),
    }
)

ACTIVE_MEMBER = frozenset({MemberState.INVITED, MemberState.JOINED, MemberState.CONFIRMED})
"""Members that see the project; who declined or left learns nothing more about it."""

IN_ROSTER = frozenset({MemberState.JOINED, MemberState.CONFIRMED})
"""Members that may stand in a roster, and write in the runs of one that names them."""

FINAL_RUN = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED})

RUN: dict[RunState, frozenset[RunState]] = {
    RunState.CREATED: frozenset({RunState.PREPARING, RunState.FAILED, RunState.CANCELLED}),
    RunState.PREPARING: frozenset({RunState.RUNNING, RunState.FAILED, RunState.CANCELLED}),
    RunState.RUNNING: frozenset({RunState.PAUSED, RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED}),
    RunState.PAUSED: frozenset({RunState.RUNNING, RunState.FAILED, RunState.CANCELLED}),
    RunState.COMPLETED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}
