"""A hospital's HTTPS proxy: CONNECT with a password, over IPv4 or IPv6, and a cable that can be pulled.

async with ConnectProxy.on(password="secret") as proxy:
    proxy.url
    await proxy.cut()      # connections break, new ones are refused
    await proxy.mend()
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    user: str = "hospital"
    password: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    connects: list[str] = field(default_factory=list)
    refused: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def on(cls, **options) -> AsyncIterator["ConnectProxy"]:
        proxy = cls(**options)
        await proxy.mend()
        try:
            yield proxy
        finally:
            await proxy.cut()

    @property
    def url(self) -> str:
        place = f"[{self.host}]" if ":" in self.host else self.host
        secret = f"{self.user}:{self.password}@" if self.password else ""
        return f"http://{secret}{place}:{self.port}"

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        self._open.discard(writer)
        writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        given = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        asked = "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.password and given.get("proxy-authorization") != asked:
            self.refused += 1
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        assert method == "CONNECT"
        self.connects.append(target)
        host, _, port = target.rpartition(":")
        there, away = await asyncio.open_connection(host.strip("[]"), int(port))
        self._open.add(away)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, away), _pump(there, writer))
        finally:
            self._open.discard(away)
            away.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.transport.abort()
