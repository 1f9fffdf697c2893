"""Runs the relay: opens both ports, reports readiness and shuts down in order."""

import asyncio
import gc
import json
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from relay.server.app import RELAY, common_headers, create_app, handler_options
from relay.server.core.config import RelayConfig
from relay.server.core.serving import serving
from relay.server.core.tls import Certificate
from relay.server.http.connections import Patience, PublicPort
from relay.service import logs, systemd
from relay.service.admin import admin_app
from relay.service.folders import private_folder
from relay.service.ports import opening
from relay.service.signals import stop_requested

_ADMIN_SHUTDOWN_S = 1.0

_log = logs.logger(__name__)


async def serve(config: RelayConfig, *, announce: bool) -> None:
    """Serve until SIGTERM or SIGINT; then stop listening, end long polls, finish running requests and return.

    Args:
        config: the settings.
        announce: whether to print one JSON line with the ports on stdout once the relay is ready.
    """
    private_folder(config.data)
    with serving(config.data):
        await _serve(config, announce=announce)


async def _serve(config: RelayConfig, *, announce: bool) -> None:
    _allow_handles()
    stop = stop_requested()
    certificate = config.certificate()
    app = create_app(config)
    relay = app[RELAY]
    if certificate is not None:
        expiry = relay.metrics.certificate_expiry.labels("public")
        expiry.set_function(lambda: certificate.expires.timestamp())  # noqa: PLW0108  # whichever is in force then
    admin = admin_app(relay.metrics.registry, relay.readiness)
    async with (  # the admin port closes last, to report the shutdown
        _listening(admin, config.admin_host, config.admin_port, _ADMIN_SHUTDOWN_S) as admin_port,
        _public(app, config, certificate) as port,
        _watched(certificate),
    ):
        _set_aside()
        _log.info("ready", host=config.host, port=port, admin_port=admin_port, data=config.data)
        if announce:
            _print({"event": "ready", "host": config.host, "port": port, "admin_port": admin_port})
        systemd.notify(f"READY=1\nSTATUS=listening on {config.host} port {port}")
        watchdog = asyncio.create_task(systemd.keep_alive())
        await stop.wait()
        watchdog.cancel()
        systemd.notify("STOPPING=1")
        _log.info("stopping")
        relay.readiness.stop()
    _log.info("stopped")


def _set_aside() -> None:
    """Exempt what was created at startup from garbage collection: scanning it would stall all requests.

    Without this, a collection took up to a third of a second while many connections came and went.
    """
    gc.collect()
    gc.freeze()


def _allow_handles() -> None:
    """Raise this process's limit on open files as far as the system allows: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems have no number for "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@asynccontextmanager
async def _public(app: web.Application, config: RelayConfig, certificate: Certificate | None) -> AsyncIterator[int]:
    # aiohttp waits twice: for requests to finish, and then for those that it cancelled
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=config.shutdown_s / 2)
    await runner.setup()
    try:
        port = PublicPort(
            runner,
            config.host,
            config.port,
            addresses=app[RELAY].request_filter.addresses,
            patience=Patience(
                most=config.max_connections,
                most_per_address=config.max_connections_per_address,
                head_s=config.head_s,
                idle_s=config.idle_s,
                stall_s=config.stall_s,
            ),
            tls=None if certificate is None else certificate.context,
            metrics=app[RELAY].metrics,
            common=lambda: common_headers(app[RELAY]),
            options=handler_options(config),
        )
        await port.start()
        yield port.port
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _watched(certificate: Certificate | None) -> AsyncIterator[None]:
    """Reload the certificate when its files change, and on SIGHUP."""
    if certificate is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, certificate.reload)
    watching = asyncio.create_task(certificate.watch())
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        watching.cancel()


@asynccontextmanager
async def _listening(app: web.Application, host: str, port: int, shutdown_s: float) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_s)
    await runner.setup()
    try:
        with opening("admin_port", port):
            await web.TCPSite(runner, host, port, backlog=1024).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _print(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
