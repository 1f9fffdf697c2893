"""The admin port: a daemon's health and metrics, for its own machine and never for the network."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from relay.service import logs

Readiness = Callable[[], Awaitable[str | None]]
"""Returns None if the daemon can do its work, otherwise the reason in words for the operator."""


def admin_app(registry: CollectorRegistry, readiness: Readiness) -> web.Application:
    """Return the application behind a daemon's admin port.

    `GET /livez` reports that the process responds; `GET /readyz` (also `/health`) whether it can work, otherwise 503
    and the reason; `GET /startupz` whether it has been ready since it started. `GET /metrics` is Prometheus's text
    format; `GET` and `PUT /log-level` show and set the log level.
    """
    started = False

    async def livez(_request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_request: web.Request) -> web.Response:
        nonlocal started
        reason = await readiness()
        if reason is None:
            started = True
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "reason": reason}, status=503)

    async def startupz(request: web.Request) -> web.Response:
        return web.json_response({"status": "started"}) if started else await readyz(request)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def show_level(_request: web.Request) -> web.Response:
        return web.json_response({"level": logs.current_level()})

    async def change_level(request: web.Request) -> web.Response:
        level = (await request.text()).strip().lower()
        if level not in {"debug", "info", "warning", "error"}:
            raise web.HTTPBadRequest(text="the body must be debug, info, warning or error\n")
        logs.set_level(level)
        return web.json_response({"level": level})

    app = web.Application(client_max_size=1024)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/health", readyz)
    app.router.add_get("/startupz", startupz)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/log-level", show_level)
    app.router.add_put("/log-level", change_level)
    return app
