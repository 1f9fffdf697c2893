"""A proxy in front of a relay that misbehaves according to a plan, for tests of clients.

    async with FaultProxy.before(relay.url) as proxy:
        proxy.plan = ["reset", "lose", "pass"]

Each request takes the next word of the plan; after the last word, requests pass. Request signatures cover path and
query but not the host, so a request that goes through the proxy unchanged is valid.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO

import aiohttp
from aiohttp import web
from yarl import URL

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class FaultProxy:
    """Words of a plan: `pass`; `reset` (before the relay sees it); `lose` (the relay's answer); a status such as
    `502`; `cut:<n>` (the answer breaks off after n bytes); `body:<text>` (another answer); `location` (a redirect)."""

    target: str
    url: str = ""
    plan: list[str] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    retry_after: str | None = None
    _session: aiohttp.ClientSession | None = None

    @classmethod
    @asynccontextmanager
    async def before(cls, target: str, ssl_context=None) -> AsyncIterator["FaultProxy"]:
        proxy = cls(target)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context).start()
        scheme = "https" if ssl_context else "http"
        proxy.url = f"{scheme}://localhost:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(auto_decompress=False) as proxy._session:
            try:
                yield proxy
            finally:
                await runner.cleanup()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = URL(request.raw_path, encoded=True)  # absolute if the client uses a forward proxy
        self.seen.append((request.method, str(path.relative() if path.absolute else path), dict(request.headers)))
        word, _, argument = (self.plan.pop(0) if self.plan else "pass").partition(":")
        if word == "reset":
            return self._break(request)
        if word.isdigit():
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.Response(status=int(word), text="<html>not a relay</html>", headers=headers)
        if word == "body":
            return web.Response(text=argument, content_type="application/json")
        if word == "location":
            raise web.HTTPTemporaryRedirect(self.target)
        async with self._session.request(
            request.method,
            URL(self.target + self.seen[-1][1], encoded=True),
            data=BytesIO(await request.read()) if request.body_exists else None,
            headers={name: value for name, value in request.headers.items() if name.lower() not in _HOP},
        ) as answer:
            body = await answer.read()
        if word == "lose":
            return self._break(request)
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
        if word == "cut":
            return await self._cut(request, answer.status, headers, body, int(argument))
        return web.Response(status=answer.status, body=body, headers=headers)

    async def _cut(self, request, status, headers, body, length) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[:length])
        await asyncio.sleep(0.05)
        request.transport.abort()
        return response

    @staticmethod
    def _break(request: web.Request) -> web.Response:
        request.transport.abort()
        return web.Response()
