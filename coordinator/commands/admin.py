"""The admin port of a process that executes runs: health and metrics, if the settings name a port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from coordinator.session.session import Session
from relay.client.transport import RelayUnavailableError
from relay.service.admin import admin_app
from relay.service.ports import opening


@asynccontextmanager
async def admin_port(session: Session, default: int | None = None) -> AsyncIterator[int | None]:
    """Serve health and metrics while the block runs; yields the port, or None if none is configured."""
    port = default if session.settings.admin_port is None else session.settings.admin_port
    if port is None:
        yield None
        return

    session.metrics.exported = True

    async def readiness() -> str | None:
        if session.disk.state is not None:
            return session.disk.state
        try:
            await session.relay.relay()
        except RelayUnavailableError as error:
            return str(error)
        return None

    runner = web.AppRunner(admin_app(session.metrics.registry, readiness), access_log=None)
    await runner.setup()
    try:
        with opening("admin_port", port):
            await web.TCPSite(runner, session.settings.admin_host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
