"""The admin port: health and metrics of a daemon, for the machine it runs on and never for the network."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from relay.service import logs

Readiness = Callable[[], Awaitable[str | None]]
"""Returns None when the daemon can do its work, else the reason why not, in words for the operator."""


def admin_app(registry: CollectorRegistry, readiness: Readiness) -> web.Application:
    """Return the application of a daemon's admin port.

    `GET /livez` says that the process answers, `GET /readyz` (also `/health`) whether it can work, with 503 and the
    reason if not, `GET /startupz` whether it ever could since its start. `GET /metrics` is Prometheus's text format;
    `GET` and `PUT /log-level` show and change what is logged.
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
            raise web.HTTPBadRequest(text="the body must be one of debug, info, warning, error\n")
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
