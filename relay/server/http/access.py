"""Authorisation: every route names one of these rules, and no route can be declared without one.

A site that may not know of an object gets the answer for a missing one; a site that may know of it but lacks permission
is told so. The rule is checked in the same transaction as the write.
"""

from enum import Enum
from uuid import UUID

from sqlalchemy import Connection

from relay.api.states import ACTIVE_MEMBER, TAKES_PART, Role
from relay.api.wire import from_base64url
from relay.server.core.problem import FORBIDDEN, NOT_FOUND, REVOKED, UNKNOWN_SITE, Problem
from relay.server.http.context import AnyCall
from relay.server.store import messages, payloads, projects, runs, sites
from relay.server.store.rows import BlobRow


class Access(Enum):
    """The rules, with their descriptions for the OpenAPI document."""

    PUBLIC = "anyone, without a signature"
    ENROLLING = "the holder of the key to enrol"
    ENROLLED = "every enrolled key, whatever its role"
    SITE = "every enrolled site, coordinators included"
    SITE_OR_OPERATOR = "every enrolled site, and operators"
    SITE_OWNER = "the site itself, and operators"
    COORDINATOR = "a site whose token made it a coordinator"
    OPERATOR = "operators, who have no part in projects"
    AUDITOR = "auditors, who have no other right"
    PROJECT_LEADER = "the project's coordinator"
    PROJECT_READER = "the project's coordinator and its members, until they decline or leave"
    PROJECT_INVITED = "a site that was ever invited to the project"
    RUN_LEADER = "the coordinator of the run's project"
    RUN_READER = "the coordinator and the members of the run's project"
    RUN_WRITER = "the coordinator, and the sites of the run's roster that have not left"
    RUN_SITE = "the sites of the run's roster that have not left"
    MESSAGE_PARTY = "the message's sender and its recipients"
    BLOB_SENDER = "the site that announced the payload"
    BLOB_PARTY = "the payload's sender and its recipients"


_BY_PROJECT = {Access.PROJECT_LEADER, Access.PROJECT_READER, Access.PROJECT_INVITED}
_BY_RUN = {Access.RUN_LEADER, Access.RUN_READER, Access.RUN_WRITER, Access.RUN_SITE}
_BY_ROLE = {
    Access.SITE: TAKES_PART,
    Access.SITE_OR_OPERATOR: TAKES_PART | {Role.OPERATOR},
    Access.COORDINATOR: {Role.COORDINATOR},
    Access.OPERATOR: {Role.OPERATOR},
    Access.AUDITOR: {Role.AUDITOR},
}
_OPEN = {Access.PUBLIC, Access.ENROLLING}


def authorise(db: Connection, access: Access, call: AnyCall) -> None:
    """Check the rule for a call and load the objects that its path names.

    Raises:
        Problem: `unknown-site` or `revoked` for the signer, `not-found` or `forbidden` for the object.
    """
    if access in _OPEN:
        return
    call.role = role_of(db, call.signer)  # again, as the key may have ended while the body arrived
    if call.role not in _BY_ROLE.get(access, {call.role}):
        raise Problem(FORBIDDEN, f"this endpoint is for {access.value}; this key is enrolled as {call.role}")
    if access is Access.SITE_OWNER and call.role != Role.OPERATOR and path_key(call) != call.signer:
        raise not_found("site")
    if access in _BY_PROJECT:
        _load_project(db, call, parse_uuid(call.path["project"], "project"))
        _check_project(access, call)
    elif access in _BY_RUN:
        _load_run(db, call, parse_uuid(call.path["run"], "run"))
        _check_run(db, access, call)
    elif access is Access.MESSAGE_PARTY:
        _load_message(db, call)
    elif access in {Access.BLOB_SENDER, Access.BLOB_PARTY}:
        _load_blob(db, access, call)


def role_of(db: Connection, key: bytes) -> str:
    """Return the role of an enrolled key that has not ended; raises `unknown-site` or `revoked`."""
    site = sites.find(db, key)
    if site is None:
        raise Problem(UNKNOWN_SITE, "this key is not enrolled here; enrol it with a join token of this relay")
    if site.ended is not None:
        raise Problem(REVOKED, f"this key was {site.ending} and will never be valid again; enrol with a new key")
    return str(site.role)


def path_key(call: AnyCall) -> bytes:
    """Return the key in the path; raises `not-found` if it is not a key."""
    try:
        return from_base64url(call.path["key"])
    except ValueError:
        raise not_found("site") from None


def not_found(what: str) -> Problem:
    """Return the same answer for objects that do not exist and for those that this site may not know of."""
    return Problem(NOT_FOUND, f"this {what} does not exist, or this site may not see it")


def parse_uuid(text: str, what: str) -> UUID:
    """Parse an ID in the path, only in its canonical spelling: each object has one path; raises `not-found`."""
    try:
        number = UUID(text)
    except ValueError:
        raise not_found(what) from None
    if str(number) != text:
        raise not_found(what)
    return number


def _check_project(access: Access, call: AnyCall) -> None:
    invited = access is Access.PROJECT_INVITED and call.membership is not None
    if not (call.leads or invited or call.membership in ACTIVE_MEMBER):
        raise not_found("project")
    if access is Access.PROJECT_LEADER and not call.leads:
        raise Problem(FORBIDDEN, "only the project's coordinator may do this")
    if access is Access.PROJECT_INVITED and not invited:
        raise Problem(FORBIDDEN, "the coordinator is not a member of its own project")


def _check_run(db: Connection, access: Access, call: AnyCall) -> None:
    if not (call.leads or call.membership in ACTIVE_MEMBER):
        raise not_found("run")
    if access is Access.RUN_SITE and call.leads:
        raise Problem(FORBIDDEN, "the coordinator is not a site in its own runs")
    if access is Access.RUN_LEADER and not call.leads:
        raise Problem(FORBIDDEN, "only the coordinator of the run's project may do this")
    if access in {Access.RUN_WRITER, Access.RUN_SITE} and not (
        call.leads or runs.takes_part(db, call.run, call.signer)
    ):
        raise Problem(FORBIDDEN, "this site is not in this run's roster")


def _load_project(db: Connection, call: AnyCall, number: UUID) -> None:
    project = projects.find(db, number)
    if project is None:
        raise not_found("project")
    call.project = project
    call.leads = project.coordinator == call.signer
    call.membership = projects.membership(db, project.id, call.signer)


def _load_run(db: Connection, call: AnyCall, number: UUID) -> None:
    run = runs.find(db, number)
    if run is None:
        raise not_found("run")
    call.run = run
    _load_project(db, call, run.project)


def _load_message(db: Connection, call: AnyCall) -> None:
    number = call.path["message"]
    message = messages.find(db, int(number)) if number.isascii() and number.isdigit() and len(number) < 19 else None
    if message is None or not (call.signer == message.sender or messages.is_reader(db, message.id, call.signer)):
        raise not_found("message")
    call.message = message


def _load_blob(db: Connection, access: Access, call: AnyCall) -> None:
    blob = payloads.find(db, parse_uuid(call.path["blob"], "payload"))
    if blob is None:
        raise not_found("payload")
    call.blob = blob
    if call.signer == blob.sender:
        return
    if not _may_fetch(db, call, blob):
        raise not_found("payload")
    if access is Access.BLOB_SENDER:
        raise Problem(FORBIDDEN, "only the site that announced a payload may upload it")


def _may_fetch(db: Connection, call: AnyCall, blob: BlobRow) -> bool:
    if blob.recipient is not None:
        return bool(blob.recipient == call.signer)
    run = runs.find(db, blob.run)
    return run is not None and runs.takes_part(db, run, call.signer)
