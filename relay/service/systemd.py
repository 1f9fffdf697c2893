"""Telling systemd how a daemon is: ready, alive, stopping (sd_notify(3)); a no-op where systemd did not ask for it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send one line of state, such as `READY=1`."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(state.encode())


async def keep_alive(environment: Mapping[str, str] = os.environ) -> None:
    """Reassure the watchdog at half its interval, until cancelled: an event loop that hangs is restarted.

    A database that cannot be reached is no reason for that; `/readyz` and the alerts speak of it.
    """
    interval_s = int(environment.get("WATCHDOG_USEC", 0)) / 1e6
    while interval_s:
        notify("WATCHDOG=1", environment)
        await asyncio.sleep(interval_s / 2)


@asynccontextmanager
async def watched(environment: Mapping[str, str] = os.environ) -> AsyncIterator[None]:
    """Say that the daemon is ready, reassure the watchdog while the block runs, and say that it stops."""
    notify("READY=1", environment)
    alive = asyncio.create_task(keep_alive(environment))
    try:
        yield
    finally:
        alive.cancel()
        notify("STOPPING=1", environment)
