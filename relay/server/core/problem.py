"""Every refusal of the relay in one place: the kinds of problem and their RFC 9457 documents.

Spec: 04-relay-api §1. A handler that raises a `Problem` changes nothing: its transaction is rolled back. A handler that
returns a `Problem` as its answer keeps what it wrote, such as the audit entry for a second frame in a slot.
"""

import errno
import sqlite3
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter

from relay.api.wire import ProblemDocument
from relay.server.core.storage_errors import DatabaseBusyError, DatabaseFullError, DatabaseUnavailableError

CONTENT_TYPE = "application/problem+json"
URN = "urn:secagg:problem:"

_DOCUMENT = TypeAdapter(ProblemDocument)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A row of the specification's table. `retry_after_s`: seconds after which a retry makes sense."""

    name: str
    status: int
    title: str
    retry_after_s: int | None = None


BAD_REQUEST = ProblemKind("bad-request", 400, "The request's form is wrong")
BAD_FRAME = ProblemKind("bad-frame", 400, "The body is not a frame that fits this request")
UNSIGNED = ProblemKind("unsigned", 401, "The request carries no signature")
BAD_SIGNATURE = ProblemKind("bad-signature", 401, "The signature is not valid for this key and request")
STALE_SIGNATURE = ProblemKind("stale-signature", 401, "The signature is too old, or from the future")
UNKNOWN_SITE = ProblemKind("unknown-site", 401, "This key is not enrolled here")
REVOKED = ProblemKind("revoked", 401, "This key is no longer valid")
BAD_TOKEN = ProblemKind("bad-token", 403, "The join token is not valid")
BAD_ADDRESS = ProblemKind("bad-address", 403, "Requests from this address are not accepted")
FORBIDDEN = ProblemKind("forbidden", 403, "This site may not do this")
NOT_FOUND = ProblemKind("not-found", 404, "The object does not exist, or this site may not see it")
METHOD_NOT_ALLOWED = ProblemKind("method-not-allowed", 405, "This path does not support this method")
TOO_SLOW = ProblemKind("too-slow", 408, "The body arrived too slowly")
CONFLICT = ProblemKind("conflict", 409, "The object is not in the state that the request assumes")
SLOT_TAKEN = ProblemKind("slot-taken", 409, "The sender already has another frame in this slot")
STALE_LEASE = ProblemKind("stale-lease", 409, "Another process of the run's coordinator holds its lease")
NONCE_REUSED = ProblemKind("nonce-reused", 409, "This nonce belongs to another request")
TOO_LARGE = ProblemKind("too-large", 413, "The body exceeds its size limit")
BAD_RANGE = ProblemKind("bad-range", 416, "The range is not within the payload")
BAD_DIGEST = ProblemKind("bad-digest", 422, "The bytes do not have the announced digest")
RATE_LIMITED = ProblemKind("rate-limited", 429, "Too many requests in a short time", retry_after_s=1)
QUOTA = ProblemKind("quota", 429, "A quota is used up", retry_after_s=60)
INTERNAL = ProblemKind("internal", 500, "The relay failed")
UNAVAILABLE = ProblemKind("unavailable", 503, "The relay cannot store data now", retry_after_s=2)
STORAGE_FULL = ProblemKind("storage-full", 507, "The relay's storage is full")

KINDS = (
    BAD_REQUEST, BAD_FRAME, UNSIGNED, BAD_SIGNATURE, STALE_SIGNATURE, UNKNOWN_SITE, REVOKED, BAD_TOKEN, BAD_ADDRESS,
    FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_SLOW, CONFLICT, SLOT_TAKEN, STALE_LEASE, NONCE_REUSED, TOO_LARGE,
    BAD_RANGE, BAD_DIGEST, RATE_LIMITED, QUOTA, INTERNAL, UNAVAILABLE, STORAGE_FULL,
)  # fmt: skip


class Problem(Exception):  # noqa: N818  # named as in RFC 9457
    """A refusal.

    Args:
        kind: kind of problem.
        detail: explanation for people: what was wrong and what to do. Never contains a secret, a body or a token.
        retry_after_s: seconds after which a retry makes sense, if different from the kind's.
        members: further members of the document: `state` or `received`.
    """

    def __init__(self, kind: ProblemKind, detail: str, *, retry_after_s: int | None = None, **members: Any) -> None:
        super().__init__(f"{kind.name}: {detail}")
        self.kind = kind
        self.detail = detail
        self.retry_after_s = kind.retry_after_s if retry_after_s is None else retry_after_s
        self.members = members


def encode(problem: Problem, instance: str) -> bytes:
    """Return the problem document as JSON.

    Args:
        problem: problem to describe.
        instance: URN that also appears in the log.
    """
    document = ProblemDocument(
        type=URN + problem.kind.name,
        title=problem.kind.title,
        status=problem.kind.status,
        detail=problem.detail,
        instance=instance,
        **problem.members,
    )
    return _DOCUMENT.dump_json(document, exclude_none=True)


def respond(problem: Problem, instance: str) -> web.Response:
    """Return the HTTP response that carries a problem document."""
    headers = {} if problem.retry_after_s is None else {"Retry-After": str(problem.retry_after_s)}
    return web.Response(
        body=encode(problem, instance), status=problem.kind.status, content_type=CONTENT_TYPE, headers=headers
    )


def of_exception(error: Exception) -> Problem:
    """Convert an exception to a problem; an unexpected one becomes `internal`, with details in the log only."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPMethodNotAllowed):
        return Problem(METHOD_NOT_ALLOWED, f"this path supports {', '.join(sorted(error.allowed_methods))}")
    if isinstance(error, web.HTTPNotFound):
        return Problem(NOT_FOUND, "this path does not exist; see /v1/openapi.json for the interface")
    if isinstance(error, web.HTTPException):
        return Problem(BAD_REQUEST, error.reason)
    if isinstance(error, ConnectionError):
        return Problem(BAD_REQUEST, "the connection broke")
    cause = cause_of(error)
    if cause == "full":
        return Problem(STORAGE_FULL, "nothing was stored; ask the relay's operator to free space")
    if cause != "internal":
        return Problem(UNAVAILABLE, "nothing was acknowledged; repeat the same request later")
    return Problem(INTERNAL, "the relay failed to handle this request; its operator can find the reason in the log")


def cause_of(error: Exception) -> str:
    """Return the relay's fault behind an unexpected exception: one of `relay.server.core.metrics.FAULTS`."""
    if isinstance(error, DatabaseBusyError):
        return "busy"
    if isinstance(error, DatabaseFullError) or (isinstance(error, OSError) and error.errno in _FULL):
        return "full"
    if isinstance(error, OSError) or _of_sqlite(error) == sqlite3.SQLITE_IOERR:
        return "input-output"
    return "database" if isinstance(error, DatabaseUnavailableError) else "internal"


def _of_sqlite(error: Exception) -> int:
    """Return SQLite's primary error code behind a database error; 0 if there is none."""
    code: int = getattr(getattr(error.__cause__, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF
