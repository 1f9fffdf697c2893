"""Every refusal of the relay, in one place: the kinds of problem and the RFC 9457 documents made of them.

Spec: 04-relay-api §1. A handler that raises a `Problem` has changed nothing: its transaction is rolled back. One that
returns a `Problem` as its answer keeps what it wrote, such as the audit entry of a second frame in one slot.
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
    """A row of the specification's table. `retry_after_s`: when it makes sense to come again."""

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
REVOKED = ProblemKind("revoked", 401, "This key is not valid any more")
BAD_TOKEN = ProblemKind("bad-token", 403, "The join token is not valid")
BAD_ADDRESS = ProblemKind("bad-address", 403, "Requests from this address are not taken")
FORBIDDEN = ProblemKind("forbidden", 403, "This site may not do this")
NOT_FOUND = ProblemKind("not-found", 404, "There is no such thing, or none that this site may know of")
METHOD_NOT_ALLOWED = ProblemKind("method-not-allowed", 405, "This path does not take this method")
TOO_SLOW = ProblemKind("too-slow", 408, "The body arrived too slowly")
CONFLICT = ProblemKind("conflict", 409, "The object is in another state than the request assumes")
SLOT_TAKEN = ProblemKind("slot-taken", 409, "The sender already has another frame in this slot")
STALE_LEASE = ProblemKind("stale-lease", 409, "The run's lease is with another process of its coordinator")
NONCE_REUSED = ProblemKind("nonce-reused", 409, "This nonce belongs to another request")
TOO_LARGE = ProblemKind("too-large", 413, "The body is over its limit")
BAD_RANGE = ProblemKind("bad-range", 416, "The range is not within the payload")
BAD_DIGEST = ProblemKind("bad-digest", 422, "The bytes do not have the announced digest")
RATE_LIMITED = ProblemKind("rate-limited", 429, "Too many requests in a short time", retry_after_s=1)
QUOTA = ProblemKind("quota", 429, "A quota is used up", retry_after_s=60)
INTERNAL = ProblemKind("internal", 500, "The relay failed")
UNAVAILABLE = ProblemKind("unavailable", 503, "The relay cannot store now", retry_after_s=2)
STORAGE_FULL = ProblemKind("storage-full", 507, "The relay's storage is full")

KINDS = (
    BAD_REQUEST, BAD_FRAME, UNSIGNED, BAD_SIGNATURE, STALE_SIGNATURE, UNKNOWN_SITE, REVOKED, BAD_TOKEN, BAD_ADDRESS,
    FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_SLOW, CONFLICT, SLOT_TAKEN, STALE_LEASE, NONCE_REUSED, TOO_LARGE,
    BAD_RANGE, BAD_DIGEST, RATE_LIMITED, QUOTA, INTERNAL, UNAVAILABLE, STORAGE_FULL,
)  # fmt: skip


class Problem(Exception):  # noqa: N818  # the word of RFC 9457
    """A refusal.

    Args:
        kind: which row of the table.
        detail: for people: what was wrong and what to do. Never holds a secret, a body or a token.
        retry_after_s: when it makes sense to come again, if not as for all of this kind.
        members: further members of the document, `state` or `received`.
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
        problem: what was wrong.
        instance: a URN that also stands in the log.
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
    """Return the HTTP response that carries a problem's document."""
    headers = {} if problem.retry_after_s is None else {"Retry-After": str(problem.retry_after_s)}
    return web.Response(
        body=encode(problem, instance), status=problem.kind.status, content_type=CONTENT_TYPE, headers=headers
    )


def of_exception(error: Exception) -> Problem:
    """Say as a problem what went wrong; what nobody expected is `internal`, and the log has the rest."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPMethodNotAllowed):
        return Problem(METHOD_NOT_ALLOWED, f"this path takes {', '.join(sorted(error.allowed_methods))}")
    if isinstance(error, web.HTTPNotFound):
        return Problem(NOT_FOUND, "there is no such path; the interface is described at /v1/openapi.json")
    if isinstance(error, web.HTTPException):
        return Problem(BAD_REQUEST, error.reason)
    if isinstance(error, ConnectionError):
        return Problem(BAD_REQUEST, "the connection broke")
    cause = cause_of(error)
    if cause == "full":
        return Problem(STORAGE_FULL, "nothing was stored; the relay's operator has to free space")
    if cause != "internal":
        return Problem(UNAVAILABLE, "nothing was acknowledged; send the same request again later")
    return Problem(INTERNAL, "the relay failed at this request; its operator finds the reason in the log")


def cause_of(error: Exception) -> str:
    """Name the relay's fault behind an unexpected exception: one of `relay.server.core.metrics.FAULTS`."""
    if isinstance(error, DatabaseBusyError):
        return "busy"
    if isinstance(error, DatabaseFullError) or (isinstance(error, OSError) and error.errno in _FULL):
        return "full"
    if isinstance(error, OSError) or _of_sqlite(error) == sqlite3.SQLITE_IOERR:
        return "input-output"
    return "database" if isinstance(error, DatabaseUnavailableError) else "internal"


def _of_sqlite(error: Exception) -> int:
    """SQLite's primary error code behind an error of the database, 0 where there is none."""
    code: int = getattr(getattr(error.__cause__, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF
