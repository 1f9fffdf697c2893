"""Sockets that are slow in four ways, each reopened when closed: python -m bench.workers.slow_sockets.

Reads one JSON object from stdin (host, port, sockets, seconds, seed in hex) and prints one: for each kind, the number
of closed sockets and the longest time until one was closed.
"""

import asyncio
import json
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from relay.api.signing import RequestHead, sign
from relay.api.wire import to_base64url
from secagg.identity import Identity

DRIP_S = 2.0
LOOK_S = 0.5
RAMP_S = 4.0
KINDS = ("silent", "head", "body", "reader")


class Attack:
    """Keeps a number of slow sockets open for a time."""

    def __init__(self, host: str, port: int, identity: Identity, until: float) -> None:
        self._place, self._identity, self._until = (host, port), identity, until
        self.lived: dict[str, list[float]] = {kind: [] for kind in KINDS}

    async def keep(self, kind: str, after_s: float) -> None:
        """Open a slow socket after `after_s` seconds, and reopen it until the end."""
        await asyncio.sleep(after_s)
        act: Callable[[socket.socket], Awaitable[None]] = getattr(self, f"_{kind}")
        loop = asyncio.get_running_loop()
        while time.monotonic() < self._until:
            with socket.socket() as mine:
                mine.setblocking(False)
                mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # keeps the kernel's buffers small
                mine.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
                with suppress(OSError):
                    await loop.sock_connect(mine, self._place)
                    started = time.monotonic()
                    with suppress(OSError):
                        await act(mine)
                    self.lived[kind].append(time.monotonic() - started)

    async def _silent(self, mine: socket.socket) -> None:
        await self._until_closed(mine)

    async def _head(self, mine: socket.socket) -> None:
        await self._drip(mine, b"GET /v1/sites HTTP/1.1\r\nHost: relay\r\nX-Slow: ")

    async def _body(self, mine: socket.socket) -> None:
        body = bytes(1000)
        path = f"/v1/projects/{self._identity.public.hex()[:8]}-0000-4000-8000-000000000000"
        head = RequestHead("PUT", f"http://relay{path}", {})
        sign(self._identity, head, body, nonce=to_base64url(os.urandom(16)), created=int(time.time()))
        lines = [f"PUT {path} HTTP/1.1", "Host: relay", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in head.headers.items()]
        await self._drip(mine, ("\r\n".join(lines) + "\r\n\r\n").encode())

    async def _reader(self, mine: socket.socket) -> None:
        asking = b"GET /v1/openapi.json HTTP/1.1\r\nHost: relay\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(mine, asking * 4)
        gone = select.poll()  # this socket reads nothing, so ask the kernel
        gone.register(mine, select.POLLRDHUP)
        while not gone.poll(0):  # noqa: ASYNC110  # nothing sets an event
            await asyncio.sleep(LOOK_S)

    async def _drip(self, mine: socket.socket, beginning: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(mine, beginning)
        closing = asyncio.create_task(self._until_closed(mine))
        while not closing.done():
            await asyncio.wait({closing}, timeout=DRIP_S)
            with suppress(OSError):
                mine.send(b"x")
        await closing

    async def _until_closed(self, mine: socket.socket) -> None:
        while await asyncio.get_running_loop().sock_recv(mine, 4096):
            pass


async def main() -> None:
    """Run the attack and print its outcome."""
    given = json.load(sys.stdin)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    until = time.monotonic() + given["seconds"]
    attack = Attack(given["host"], given["port"], Identity(bytes.fromhex(given["seed"])), until)
    each = given["sockets"] // len(KINDS)
    await asyncio.gather(*(attack.keep(kind, RAMP_S * n / each) for kind in KINDS for n in range(each)))
    print(json.dumps({kind: {"closed": len(times), "longest_s": max(times)} for kind, times in attack.lived.items()}))


if __name__ == "__main__":
    asyncio.run(main())
