"""Legal state transitions: one table each for members, for runs and for sites' reports about a run.

The store changes states by compare-and-set and refuses transitions that are not in a table. Spec: 04-relay-api §3, §4.
"""

from enum import StrEnum


class Role(StrEnum):
    """The role of an enrolled key, fixed by its join token. The last two take no part in projects and see none."""

    SITE = "site"
    COORDINATOR = "coordinator"
    OPERATOR = "operator"
    AUDITOR = "auditor"


TAKES_PART = frozenset({Role.SITE, Role.COORDINATOR})


class Liveness(StrEnum):
    """A site's liveness: whether it has been seen recently."""

    CONNECTED = "connected"
    SILENT = "silent"
    ENDED = "ended"


class Ending(StrEnum):
    """The reason why a key is no longer valid. An ended key never becomes valid again."""

    REVOKED = "revoked"
    ROTATED = "rotated"
    DEREGISTERED = "deregistered"


class ProjectState(StrEnum):
    """A closed project accepts no invitations, rosters or runs."""

    OPEN = "open"
    CLOSED = "closed"


class MemberState(StrEnum):
    """The state of a member in a project."""

    INVITED = "invited"
    JOINED = "joined"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    LEFT = "left"


class RunState(StrEnum):
    """The state of a run; the last three are final."""

    CREATED = "created"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Cause(StrEnum):
    """The cause of a change in a member's state."""

    INVITATION = "invitation"  # by the coordinator
    ANSWER = "answer"  # by the site itself
    ROSTER = "roster"  # a new roster version voids the confirmation of the old one
    REMOVAL = "removal"  # by the coordinator, or because the site's key ended


MEMBER: frozenset[tuple[MemberState, Cause, MemberState]] = frozenset(
    {
        (MemberState.INVITED, Cause.ANSWER, MemberState.JOINED),
        (MemberState.INVITED, Cause.ANSWER, MemberState.DECLINED),
        (MemberState.JOINED, Cause.ANSWER, MemberState.CONFIRMED),
        (MemberState.JOINED, Cause.ANSWER, MemberState.LEFT),
        (MemberState.CONFIRMED, Cause.ANSWER, MemberState.LEFT),
        (MemberState.CONFIRMED, Cause.ROSTER, MemberState.JOINED),
        (MemberState.INVITED, Cause.REMOVAL, MemberState.LEFT),
        (MemberState.JOINED, Cause.REMOVAL, MemberState.LEFT),
        (MemberState.CONFIRMED, Cause.REMOVAL, MemberState.LEFT),
        (MemberState.DECLINED, Cause.INVITATION, MemberState.INVITED),
        (MemberState.LEFT, Cause.INVITATION, MemberState.INVITED),
    }
)

ACTIVE_MEMBER = frozenset({MemberState.INVITED, MemberState.JOINED, MemberState.CONFIRMED})
"""Members that see the project; one that declined or left learns nothing more about it."""

IN_ROSTER = frozenset({MemberState.JOINED, MemberState.CONFIRMED})
"""Members that a roster may name, and that may write to the runs of a roster naming them."""

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


class SiteState(StrEnum):
    """The state that a site reports for a run; a site that has reported nothing is waiting.

    A site that reports that it is waiting gives the reason: an officer of the site, or its schedule, must first allow
    what the run asks.
    """

    WAITING = "waiting"
    READY = "ready"
    WORKING = "working"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


SITE: dict[SiteState, frozenset[SiteState]] = {
    SiteState.WAITING: frozenset({SiteState.WAITING, SiteState.READY, SiteState.REFUSED, SiteState.FAILED}),
    SiteState.READY: frozenset(
        {SiteState.WAITING, SiteState.WORKING, SiteState.DONE, SiteState.REFUSED, SiteState.FAILED}
    ),
    SiteState.WORKING: frozenset({SiteState.READY, SiteState.DONE, SiteState.FAILED}),
    SiteState.DONE: frozenset(),
    SiteState.REFUSED: frozenset({SiteState.WAITING, SiteState.READY, SiteState.REFUSED}),
    SiteState.FAILED: frozenset({SiteState.WAITING}),
}
