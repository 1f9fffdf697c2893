"""The audit log, for auditors. Spec: 04-relay-api §7."""

from sqlalchemy import Connection

from relay.api.wire import AuditEntries, AuditEntry, PageQuery
from relay.server.http.access import Access
from relay.server.http.context import Call, RouteAnswer
from relay.server.http.route import Route
from relay.server.store import audit as store


def read(call: Call[PageQuery, None], db: Connection) -> RouteAnswer:
    """Return the entries after a given one, with the heads by which the reader checks the chain."""
    query = call.query
    rows = store.page(db, after=query.after, limit=query.limit)
    return RouteAnswer(200, AuditEntries(entries=[AuditEntry(**row._asdict()) for row in rows]))


ROUTES = (
    Route(
        name="audit",
        method="GET",
        path="/v1/audit",
        summary="Entries of the audit log",
        access=Access.AUDITOR,
        query=PageQuery,
        answers={200: AuditEntries},
        reads=read,
    ),
)
