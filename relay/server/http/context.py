"""One request on its way through the relay: what the relay has, what the request brings, and what is answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relay.api.states import MemberState
from relay.api.wire import to_base64url
from relay.server.core.config import RelayConfig
from relay.server.core.metrics import RelayMetrics
from relay.server.limits.body_budget import BodyBudget
from relay.server.limits.fair_queue import FairQueue
from relay.server.limits.request_filter import RequestFilter
from relay.server.limits.role_cache import RoleCache
from relay.server.payloads.digests import RunningDigests
from relay.server.payloads.payload_store import Blobs, Piece
from relay.server.process.epoch import Epoch
from relay.server.process.last_seen import LastSeen
from relay.server.process.long_polls import LongPolls
from relay.server.process.monitor import ProcessMonitor
from relay.server.process.readiness import Readiness
from relay.server.store.database import Database, Row

if TYPE_CHECKING:
    from relay.server.store.notices import Notices  # needs a driver that only PostgreSQL's users have


@dataclass(frozen=True, slots=True)
class Relay:
    """What requests need. Holds no state that another replica would miss.

    `notices` tell other replicas of new messages; None on SQLite, where each looks by itself. `endings` are the keys
    that are not valid any more, looked up every two seconds: for what goes on for a while. `description` is the OpenAPI
    document.
    """

    config: RelayConfig
    edge: RequestFilter
    admissions: RoleCache
    bodies: BodyBudget
    database: Database
    blobs: Blobs
    digests: RunningDigests
    wakeups: LongPolls
    notices: "Notices | None"
    presence: LastSeen
    endings: set[bytes]
    turns: FairQueue
    metrics: RelayMetrics
    readiness: Readiness
    epoch: Epoch
    vitals: ProcessMonitor
    description: bytes


@dataclass(slots=True)
class Call:
    """A request that was found to be signed, with its parts parsed.

    Attributes:
        signer: the key whose signature is valid; b"" on public routes.
        role: the signer's role; empty for a key that is not enrolled.
        now: the relay's time, once for the whole request.
        path: the parts of the path that stand for something.
        query, body: as the route declares them.
        project, run, message, blob: what the path names. Set by `access.authorise`, and only where the route's rule
            is about one; reading another is an error.
        leads: the signer is the project's coordinator.
        membership: the signer's state in the project, None if it is no member.
        staged: what the route's stage prepared for the transaction.
        discarded: objects of a payload that the transaction discarded, for the stage to remove.
        woken: sites whose long polls are woken once the transaction is durable.
        counts: what is counted once the transaction is durable; one that ran twice counts once.
        waited_s: how long a long poll waited; not counted as time to answer.
    """

    relay: Relay
    signer: bytes
    role: str
    now: float
    path: dict[str, str]
    query: Any = None
    body: Any = None
    project: Row = field(init=False)
    run: Row = field(init=False)
    message: Row = field(init=False)
    blob: Row = field(init=False)
    leads: bool = False
    membership: MemberState | None = None
    staged: Any = None
    discarded: Sequence[Piece] = ()
    woken: set[bytes] = field(default_factory=set)
    counts: list[Callable[[], None]] = field(default_factory=list)
    waited_s: float = 0.0

    @property
    def actor(self) -> str:
        """The signer's name in the audit log."""
        return to_base64url(self.signer)


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """A successful answer: its status, and one of the types in `relay.api.wire`, bytes, or nothing."""

    status: int
    content: Any = None
