"""Health, and the interface's description of itself. Spec: 04-relay-api §7."""

from aiohttp import web

from relay.access import Access
from relay.body import JSON
from relay.call import Answer, Call
from relay.problem import UNAVAILABLE, Problem
from relay.route import Route
from relay.wire import Health


async def livez(call: Call, request: web.Request) -> Answer:
    """Say that the process answers."""
    del call, request
    return Answer(200, Health(status="alive"))


async def readyz(call: Call, request: web.Request) -> Answer:
    """Say whether the relay can store."""
    del request
    reason = await call.relay.readiness()
    if reason is not None:
        raise Problem(UNAVAILABLE, reason)
    return Answer(200, Health(status="ready"))


async def describe(call: Call, request: web.Request) -> web.Response:
    """Return the OpenAPI document."""
    del request
    return web.Response(body=call.relay.description, content_type=JSON)


ROUTES = (
    Route(
        name="livez",
        method="GET",
        path="/livez",
        summary="Whether the process answers",
        access=Access.PUBLIC,
        answers={200: Health},
        streams=livez,
    ),
    Route(
        name="readyz",
        method="GET",
        path="/readyz",
        summary="Whether the relay can store",
        access=Access.PUBLIC,
        answers={200: Health},
        streams=readyz,
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
