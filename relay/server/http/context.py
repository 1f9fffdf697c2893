"""One request on its way through the relay: what the relay provides, what the request brings, and the answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

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
from relay.server.store.database import Database
from relay.server.store.rows import BlobRow, FrameRow, ProjectRow, RunRow

if TYPE_CHECKING:
    from relay.server.store.notices import Notices  # only PostgreSQL's users have the driver


@dataclass(frozen=True, slots=True)
class Relay:
    """The relay's services to requests. It holds no state that another replica would miss.

    `notices` tells other replicas about new messages; None on SQLite, where each replica polls. `endings` are the
    keys that are no longer valid, refreshed every two seconds, for requests that take longer. `description` is the
    OpenAPI document.
    """

    config: RelayConfig
    request_filter: RequestFilter
    role_cache: RoleCache
    bodies: BodyBudget
    database: Database
    blobs: Blobs
    digests: RunningDigests
    long_polls: LongPolls
    notices: "Notices | None"
    last_seen: LastSeen
    endings: set[bytes]
    write_queue: FairQueue
    metrics: RelayMetrics
    readiness: Readiness
    epoch: Epoch
    monitor: ProcessMonitor
    description: bytes


Q = TypeVar("Q")
B = TypeVar("B")


@dataclass(slots=True)
class Call(Generic[Q, B]):
    """A request whose signature was verified, with its parts parsed.

    Attributes:
        signer: key whose signature is valid; b"" on public routes.
        role: signer's role; empty for a key that is not enrolled.
        now: the relay's time, fixed for the whole request.
        path: path parameters.
        query, body: values of the types that the route declares, None where it declares none.
        project, run, message, blob: objects named in the path, set by `access.authorise` if the route's rule concerns
            them; reading any other is an error.
        leads: whether the signer is the project's coordinator.
        membership: signer's state in the project; None if it is not a member.
        staged: result that the route's stage prepared for the transaction.
        discarded: payload objects that the transaction discarded, for the stage to remove.
        woken: sites whose long polls are woken once the transaction is durable.
        counts: metrics to count once the transaction is durable; a transaction that ran twice counts once.
        waited_s: time that a long poll waited; not counted as response time.
    """

    relay: Relay
    signer: bytes
    role: str
    now: float
    path: dict[str, str]
    query: Q = field(init=False)
    body: B = field(init=False)
    project: ProjectRow = field(init=False)
    run: RunRow = field(init=False)
    message: FrameRow = field(init=False)
    blob: BlobRow = field(init=False)
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


AnyCall: TypeAlias = Call[Any, Any]
"""A call for functions that look at neither query nor body."""


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """A successful answer: its status and content (one of the types in `relay.api.wire`, bytes, or nothing)."""

    status: int
    content: Any = None
