"""A proxy that passes requests to several relays in turn, and to the next one if a relay does not answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO

import aiohttp
from aiohttp import web
from yarl import URL

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class RoundRobin:
    """Hides the relays behind one address. `served` counts the requests that each has answered."""

    targets: list[str]
    url: str = ""
    served: dict[str, int] = field(default_factory=dict)
    _turn: int = 0
    _session: aiohttp.ClientSession | None = None

    @classmethod
    @asynccontextmanager
    async def before(cls, *targets: str) -> AsyncIterator["RoundRobin"]:
        proxy = cls(list(targets), served=dict.fromkeys(targets, 0))
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(auto_decompress=False) as proxy._session:
            try:
                yield proxy
            finally:
                await runner.cleanup()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        for _ in self.targets:
            self._turn += 1
            target = self.targets[self._turn % len(self.targets)]
            try:
                async with self._session.request(
                    request.method,
                    URL(target + request.raw_path, encoded=True),
                    data=BytesIO(body) if body else None,
                    headers={name: value for name, value in request.headers.items() if name.lower() not in _HOP},
                ) as answer:
                    found = await answer.read()
            except aiohttp.ClientError:
                continue
            self.served[target] += 1
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return web.Response(status=answer.status, body=found, headers=headers)
        return web.Response(status=502)
