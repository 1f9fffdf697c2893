"""The requests and responses between the relay and a site, each as one frozen type.

Spec: 04-relay-api. The relay's routes, its OpenAPI document and the client are built from these declarations.
Requests are strict (an unknown member is refused); responses may gain members, so that an older client can talk to a
newer relay.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass as plain_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
)
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema, core_schema

from relay.api.states import Ending, Liveness, MemberState, ProjectState, Role, RunState, SiteState

CHUNK_BYTES = 4 << 20
"""Largest piece of a payload in one request."""
INLINE_FRAME_BYTES = 32 << 10
"""Frames up to this size are included in the list of messages; larger ones are fetched by message ID."""
MAX_WAIT_S = 30
"""Longest long poll, below the idle timeout of common proxies."""
MAX_PAGE = 256
"""Maximum number of messages in one response."""
MAX_LEASE_S = 600
"""Longest lease of a run; its holder keeps renewing it."""
MAX_TERMS_BYTES = 64 << 10
FIRST_PARCEL = 240
"""Frames of this kind and above are not protocol messages but parcels: logs and files that people send each other."""
MAX_PARAMETERS_BYTES = 16 << 10
MAX_TASKS = 100
MAX_LABELS = 16
MAX_TTL_S = 366 * 86_400
MAX_SITES = 65_534

EPOCH_HEADER = "Secagg-Relay-Epoch"
"""Sent with every response; changes when the relay is restored from a backup."""

KEY_BYTES = 32
DIGEST_BYTES = 32
SIGNATURE_BYTES = 64
EVERYONE = "all"
KEY_ROTATION = "key-rotation"
"""Label under which a key signs its successor."""

T = TypeVar("T")

_REQUEST = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
_ANSWER = ConfigDict(extra="ignore", hide_input_in_errors=True)


def encode(value: Any) -> bytes:
    """Return one of these types as JSON."""
    return _adapter(type(value)).dump_json(value, by_alias=True)


def parse(kind: type[T], data: bytes) -> T:
    """Read one of these types from JSON; raises pydantic's ValidationError."""
    value: T = _adapter(kind).validate_json(data)
    return value


def parse_query(kind: type[T], pairs: dict[str, str]) -> T:
    """Read one of these types from query parameters; raises pydantic's ValidationError."""
    value: T = _adapter(kind).validate_python(pairs)
    return value


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return _built(kind)


@cache
def _built(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)  # building it takes longer than using it


def to_base64url(data: bytes) -> str:
    """Return base64url without padding, the only encoding of bytes in JSON and in paths."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """Read base64url without padding.

    Raises:
        ValueError: the text is not the canonical encoding of its bytes.
    """
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(data) != text:
        raise ValueError("expected base64url without padding")
    return data


@plain_dataclass(frozen=True, slots=True)
class Opaque:
    """Marks bytes that are base64url in JSON, with their minimum and maximum length."""

    least: int
    most: int

    def read(self, value: Any) -> bytes:
        data = from_base64url(value) if isinstance(value, str) else value
        if not isinstance(data, bytes) or not self.least <= len(data) <= self.most:
            raise ValueError(f"expected base64url of {self.least} to {self.most} bytes")
        return data

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(to_base64url, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        least, most = (-(-8 * size // 6) for size in (self.least, self.most))  # six bits a character, rounded up
        letters = {"pattern": "^[A-Za-z0-9_-]*$", "minLength": least, "maxLength": most}
        return {"type": "string", "contentEncoding": "base64url", **letters}


class Recipient:
    """Marks a key for which JSON may also say "all"; that is None in Python."""

    @staticmethod
    def read(value: Any) -> bytes | None:
        return None if value is None or value == EVERYONE else Opaque(KEY_BYTES, KEY_BYTES).read(value)

    @staticmethod
    def write(key: bytes | None) -> str:
        return EVERYONE if key is None else to_base64url(key)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(self.write, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{EVERYONE}|[A-Za-z0-9_-]{{43}})$"}


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("only printable characters are allowed, without leading or trailing spaces")
    return text


def _plain_number(value: Any) -> Any:
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("expected a whole number in decimal digits")
    return value


Key = Annotated[bytes, Opaque(KEY_BYTES, KEY_BYTES)]
Digest = Annotated[bytes, Opaque(DIGEST_BYTES, DIGEST_BYTES)]
Terms = Annotated[bytes, Opaque(0, MAX_TERMS_BYTES)]
FrameBytes = Annotated[bytes, Opaque(1, INLINE_FRAME_BYTES)]
To = Annotated[bytes | None, Recipient()]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Reason = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Token = Annotated[str, Field(min_length=20, max_length=100, pattern="^[A-Za-z0-9_-]+$")]
LabelName = Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,31}$")]
Labels = Annotated[dict[LabelName, Name], Field(max_length=MAX_LABELS)]
Parameters = Annotated[bytes, Opaque(0, MAX_PARAMETERS_BYTES)]
SignatureBytes = Annotated[bytes, Opaque(SIGNATURE_BYTES, SIGNATURE_BYTES)]
Seconds = Annotated[int, Field(ge=60, le=MAX_TTL_S)]
Round = Annotated[int, Field(ge=0, lt=2**32)]
Size = Annotated[int, Field(ge=1, le=2**53)]
Number = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_plain_number)]


# Requests, in the order of the specification


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class Enrolment:
    token: Token = Field(repr=False)
    name: Name
    key: Key


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class Succession:
    """Request to replace a key. `handover`: the old key's signature over the new one, labelled `key-rotation`."""

    handover: SignatureBytes


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class NewLabels:
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class Revocation:
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class NewToken:
    """A join token to create. `hash`: its SHA-256; the relay sees the token itself only when it is used."""

    hash: Digest
    role: Role
    label: Name
    ttl_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class TokenRotation:
    hash: Digest
    ttl_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class NewProject:
    name: Name
    terms: Terms = Field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class NewTask:
    name: Name
    parameters: Parameters = Field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class NewTasks:
    """A project's new list of tasks. `version`: version of the list that it replaces; 0 if there is none yet."""

    version: Number
    tasks: Annotated[list[NewTask], Field(max_length=MAX_TASKS)]


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class MemberAnswer:
    state: MemberState
    reason: Reason = ""
    roster_version: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class RosterSites:
    sites: Annotated[list[Key], Field(min_length=1, max_length=MAX_SITES)]


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class NewRun:
    """A run to create.

    Attributes:
        task: number of the project's task that the run carries out, counted from 0.
        deadline: when the relay ends the run unless its coordinator already has, seconds since 1970; null for never.
    """

    name: Name
    task: Annotated[int, Field(ge=0, lt=MAX_TASKS)] | None = None
    deadline: Annotated[float, Field(gt=0, le=2**53)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class RunChange:
    """A change of a run's state. `lease`: token of the lease that the process holds on the run, if any."""

    from_: Annotated[RunState, Field(alias="from")]
    to: RunState
    reason: Reason = ""
    lease: Annotated[int, Field(ge=1, le=2**53)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class LeaseRequest:
    """Request for a run's lease. `holder`: name that the process chose for itself; `ttl_s` 0 releases the lease."""

    holder: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z0-9_-]+$")]
    ttl_s: Annotated[float, Field(ge=0, le=MAX_LEASE_S)]


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class RunReportBody:
    from_: Annotated[SiteState, Field(alias="from")]
    to: SiteState
    round: Round = 0
    reason: Reason = ""


@dataclass(frozen=True, slots=True, kw_only=True, config=_REQUEST)
class Announcement:
    size: Size
    digest: Digest
    to: To


# Queries; their values arrive as text


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
class PostQuery:
    to: To
    payload: UUID | None = None
    lease: Annotated[Number, Field(ge=1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
class PollQuery:
    after: Number = 0
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 0.0
    limit: Annotated[Number, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
class PageQuery:
    after: Number = 0
    limit: Annotated[Number, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
class ChunkQuery:
    offset: Number


# Responses


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class Site:
    """An enrolled key.

    Attributes:
        last_seen: seconds since 1970, or None for a site that has not been seen since it enrolled.
        silent_since: when it was last seen, if it is `silent`.
        ending: why it is `ended`.
        predecessor: the key that it replaced.
    """

    key: Key
    name: str
    role: Role
    last_seen: float | None = None
    status: Liveness = Liveness.CONNECTED
    silent_since: float | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    ending: Ending | None = None
    predecessor: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class Sites:
    sites: list[Site]


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class JoinToken:
    """A join token, without its secret. `state`: open, used, revoked or expired; `used_by`: name of the site."""

    id: int
    role: Role
    label: str
    state: str
    created: float
    expires: float
    used_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class JoinTokens:
    tokens: list[JoinToken]


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class AuditEntry:
    """An entry of the audit log. `head`: hash over this entry and the previous head."""

    seq: int
    at_ms: int
    actor: str
    action: str
    object: str
    detail: str
    head: Digest


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class AuditEntries:
    entries: list[AuditEntry]


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class Member:
    """A site in a project. `roster_version`: version that the site confirmed, if it is `confirmed`."""

    key: Key
    name: str
    state: MemberState
    reason: str
    roster_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class SealedRoster:
    """The relay's statement of who is in the project. Trust in it comes only from the words that officers compare."""

    version: int
    sites: list[Key]


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class Task:
    name: str
    parameters: Parameters = Field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class RelayProject:
    id: UUID
    name: str
    coordinator: Key
    terms: Terms = Field(repr=False)
    state: ProjectState
    roster: SealedRoster | None
    members: list[Member]
    tasks: list[Task] = Field(default_factory=list)
    tasks_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class ProjectSummary:
    """A project in a list. `membership`: the reader's own state; None for the project's coordinator."""

    id: UUID
    name: str
    coordinator: Key
    state: ProjectState
    roster_version: int | None
    membership: MemberState | None


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class Projects:
    projects: list[ProjectSummary]


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class RelayRun:
    """A run.

    Attributes:
        roster_version: roster in force when the run was created; it applies to the whole run.
        task: number of the project's task that the run carries out, if its coordinator named one.
        number: position among the project's runs, counted from 1.
        deadline: when the relay ends the run unless its coordinator already has.
    """

    id: UUID
    project: UUID
    name: str
    roster_version: int
    state: RunState
    reason: str
    created: float
    updated: float
    task: int | None = None
    number: int = 0
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class Runs:
    runs: list[RelayRun]


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class RunLease:
    """The lease of a run. `until` is by the relay's clock; `token` increases with each holder."""

    token: int
    until: float


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class SiteReport:
    """The state that a site reported for a run; `updated` is None if it has reported nothing."""

    key: Key
    name: str
    state: SiteState
    round: int
    reason: str
    updated: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class SiteReports:
    sites: list[SiteReport]


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class MessageId:
    id: int


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class PayloadRef:
    id: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class Message:
    """A message. `frame` is None if larger than 32 KiB: fetch it by the message's ID. `size` is its size in bytes."""

    id: int
    run: UUID
    project: UUID
    sender: Key
    size: int
    frame: FrameBytes | None = Field(default=None, repr=False)
    payload: PayloadRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class Messages:
    """A page of messages. `next` is the value of `after` for the next request."""

    messages: list[Message]
    next: int


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class PayloadUpload:
    id: str
    received: int


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class BytesReceived:
    received: int


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class AuditCheckpoint:
    """A signed head of the audit log. `proof`: signature by `public` over entries, time and head; operations §4."""

    entries: int
    at_ms: int
    head: str
    public: Key
    proof: Annotated[bytes, Opaque(64, 64)]


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class RelayFacts:
    """The relay's facts about itself. A restore changes `epoch`; `checkpoint` is None in the first minute."""

    version: str
    epoch: UUID
    since: float
    checkpoint: AuditCheckpoint | None


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class Health:
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, config=_ANSWER)
class ProblemDocument:
    """A refusal (RFC 9457). In a `conflict`, `state` and `received` give the object's current state if it has one."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    state: str | None = None
    received: int | None = None
