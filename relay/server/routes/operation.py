"""Health, and the description of the interface. Spec: 04-relay-api §7."""

from aiohttp import web
from sqlalchemy import Connection

from relay.api.wire import AuditCheckpoint, Health, RelayFacts
from relay.server.core.problem import UNAVAILABLE, Problem
from relay.server.http.access import Access
from relay.server.http.body import JSON
from relay.server.http.context import AnyCall, RouteAnswer
from relay.server.http.route import Route
from relay.server.store import checkpoints
from secagg import __version__


async def livez(call: AnyCall, request: web.Request) -> RouteAnswer:
    """Report that the process responds."""
    del call, request
    return RouteAnswer(200, Health(status="alive"))


async def readyz(call: AnyCall, request: web.Request) -> RouteAnswer:
    """Report whether the relay can store data."""
    del request
    reason = await call.relay.readiness()
    if reason is not None:
        raise Problem(UNAVAILABLE, reason)
    return RouteAnswer(200, Health(status="ready"))


def show(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return the relay's epoch, and the latest checkpoint of its audit log for sites to keep."""
    latest = checkpoints.latest(db)
    signed = None
    if latest is not None:
        signed = AuditCheckpoint(
            entries=latest.entries,
            at_ms=latest.at_ms,
            head=latest.head.hex(),
            public=latest.key,
            proof=latest.signature,
        )
    epoch = call.relay.epoch
    return RouteAnswer(200, RelayFacts(version=__version__, epoch=epoch.id, since=epoch.since, checkpoint=signed))


async def describe(call: AnyCall, request: web.Request) -> web.Response:
    """Return the OpenAPI document."""
    del request
    return web.Response(body=call.relay.description, content_type=JSON)


ROUTES = (
    Route(
        name="livez",
        method="GET",
        path="/livez",
        summary="Whether the process responds",
        access=Access.PUBLIC,
        answers={200: Health},
        streams=livez,
    ),
    Route(
        name="readyz",
        method="GET",
        path="/readyz",
        summary="Whether the relay can store data",
        access=Access.PUBLIC,
        answers={200: Health},
        streams=readyz,
    ),
    Route(
        name="relay",
        method="GET",
        path="/v1/relay",
        summary="The relay's epoch, and the latest signed checkpoint of its audit log",
        access=Access.ENROLLED,
        answers={200: RelayFacts},
        reads=show,
    ),
    Route(
        name="openapi",
        method="GET",
        path="/v1/openapi.json",
        summary="This interface as OpenAPI 3.1",
        access=Access.PUBLIC,
        answers={200: dict},
        streams=describe,
    ),
)
