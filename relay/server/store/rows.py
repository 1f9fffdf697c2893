"""The rows that the store's functions return: named tuples with the tables' columns (`relay.server.store.schema`).

A row of a join has the columns of its first table, then those joined to it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import CursorResult

R = TypeVar("R")


def first(kind: Callable[..., R], result: CursorResult[*tuple[Any, ...]]) -> R | None:
    """Return the first row of a result as a named tuple of this kind, None if there is none."""
    row = result.first()
    return None if row is None else kind(*row)


def every(kind: Callable[..., R], result: CursorResult[*tuple[Any, ...]]) -> list[R]:
    """Return all rows of a result as named tuples of this kind."""
    return [kind(*row) for row in result]


class SiteRow(NamedTuple):
    key: bytes
    name: str
    role: str
    enrolled: float
    last_seen: float | None
    labels: str
    silent_since: float | None
    predecessor: bytes | None
    ended: float | None
    ending: str | None
    release: str | None
    clock_offset_s: float | None


class SiteName(NamedTuple):
    key: bytes
    name: str


class TokenRow(NamedTuple):
    id: int
    hash: bytes
    role: str
    label: str
    created: float
    expires: float
    revoked: float | None
    used_by: bytes | None
    used: float | None


class ListedToken(NamedTuple):
    id: int
    hash: bytes
    role: str
    label: str
    created: float
    expires: float
    revoked: float | None
    used_by: bytes | None
    used: float | None
    used_by_name: str | None


class ProjectRow(NamedTuple):
    id: UUID
    name: str
    coordinator: bytes
    terms: bytes
    state: str
    roster_version: int | None
    created: float
    tasks_version: int


class JoinedProject(NamedTuple):
    id: UUID
    name: str
    coordinator: bytes
    terms: bytes
    state: str
    roster_version: int | None
    created: float
    tasks_version: int
    membership: str


class TaskRow(NamedTuple):
    name: str
    parameters: bytes


class MemberRow(NamedTuple):
    project: UUID
    site: bytes
    state: str
    reason: str
    roster_version: int | None
    updated: float


class NamedMember(NamedTuple):
    project: UUID
    site: bytes
    state: str
    reason: str
    roster_version: int | None
    updated: float
    name: str


class RunRow(NamedTuple):
    id: UUID
    project: UUID
    roster_version: int
    name: str
    state: str
    reason: str
    created: float
    updated: float
    task: int | None
    number: int
    deadline: float | None
    purged: float | None


class OpenRun(NamedTuple):
    id: UUID
    project: UUID
    roster_version: int
    name: str
    state: str
    reason: str
    created: float
    updated: float
    task: int | None
    number: int
    deadline: float | None
    purged: float | None
    project_name: str
    last_message: float | None


class ReportRow(NamedTuple):
    run: UUID
    site: bytes
    state: str
    round: int
    reason: str
    updated: float


class NamedReport(NamedTuple):
    """The last report of a site, which may not have reported yet."""

    key: bytes
    name: str
    state: str | None
    round: int | None
    reason: str | None
    updated: float | None


class BlobRow(NamedTuple):
    id: UUID
    announcement: bytes
    run: UUID
    sender: bytes
    recipient: bytes | None
    size: int
    digest: bytes
    received: int
    complete: bool
    created: float


class SlotRow(NamedTuple):
    """The message in a slot."""

    id: int
    digest: bytes
    payload: UUID | None


class ListedMessage(NamedTuple):
    """A message for its reader; a large frame is fetched separately."""

    id: int
    run: UUID
    project: UUID
    sender: bytes
    size: int
    frame: bytes | None
    payload: UUID | None
    payload_size: int | None
    payload_digest: bytes | None


class FrameRow(NamedTuple):
    id: int
    sender: bytes
    frame: bytes


class UsageRow(NamedTuple):
    run: UUID
    site: bytes
    messages: int
    frame_bytes: int
    payload_bytes: int


class NamedUsage(NamedTuple):
    run: UUID
    site: bytes
    messages: int
    frame_bytes: int
    payload_bytes: int
    site_name: str


class LeaseRow(NamedTuple):
    name: str
    holder: str
    token: int
    until: float


class NonceRow(NamedTuple):
    key: bytes
    nonce: str
    request: bytes
    status: int
    content_type: str
    answer: bytes
    created: float


class AuditRow(NamedTuple):
    seq: int
    at_ms: int
    actor: str
    action: str
    object: str
    detail: str
    head: bytes


class EpochRow(NamedTuple):
    id: UUID
    since: float
    cause: str
