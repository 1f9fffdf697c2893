"""Reports a daemon's state to systemd: ready, alive, stopping (sd_notify(3)); does nothing without systemd."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send one line of state such as `READY=1`."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(state.encode())


async def keep_alive(environment: Mapping[str, str] = os.environ) -> None:
    """Ping the watchdog at half its interval until cancelled, so that systemd restarts a hanging event loop.

    An unreachable database does not stop the pings; `/readyz` and the alerts report it.
    """
    interval_s = int(environment.get("WATCHDOG_USEC", 0)) / 1e6
    while interval_s:
        notify("WATCHDOG=1", environment)
        await asyncio.sleep(interval_s / 2)


@asynccontextmanager
async def watched(environment: Mapping[str, str] = os.environ) -> AsyncIterator[None]:
    """Report the daemon as ready, ping the watchdog while the block runs, and report that it is stopping."""
    notify("READY=1", environment)
    alive = asyncio.create_task(keep_alive(environment))
    try:
        yield
    finally:
        alive.cancel()
        notify("STOPPING=1", environment)
