"""Can one relay hold a thousand waiting sites and a stream of writes, and how fast do payloads pass through it?

The relay is a process of its own, and so is the bare aiohttp sink that payloads are compared with: it reads the same
bytes from the same client and writes them to a file without any of a relay's promises. All participants and writers are
in this process, which shares the machine's cores with the relay.

`BENCH_SECONDS=60 python -m bench relay`: the length of the load, 300 if not given; BENCH_DATABASE is a PostgreSQL URL
instead of SQLite.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import aiohttp
from sqlalchemy import Connection

from bench.measure import Row, in_words
from relay.api.states import MemberState, RunState
from relay.api.wire import CHUNK_BYTES
from relay.client.errors import RelayError, RelayUnavailableError
from relay.client.transport import RelayClient
from relay.server.core.config import RelayConfig
from relay.server.store import migrate, projects, runs, sites
from relay.server.store.connect import transact
from secagg.envelope import sign
from secagg.identity import Identity

PARTICIPANTS = 1000
WRITES_A_SECOND = 300
PAYLOAD_BYTES = 16 * CHUNK_BYTES
REPETITIONS = 5
EPOCH = bytes(range(32))

# The sink: measures the cost of aiohttp and the disk without a relay.
_SINK = f"""
import asyncio, sys
from aiohttp import web

async def take(request):
    data = await request.read()
    def write():
        with open(sys.argv[1], "ab") as file:
            file.write(data)
    await asyncio.to_thread(write)
    return web.Response(text="{{}}")

app = web.Application(client_max_size={2 * CHUNK_BYTES})
app.router.add_put("/sink", take)
runner = web.AppRunner(app, access_log=None)

async def main():
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def rows() -> list[Row]:
    """Return the measured rows; the targets are for a relay on two cores."""
    seconds = float(os.environ.get("BENCH_SECONDS", "300"))
    with TemporaryDirectory() as folder:
        config = RelayConfig(data=Path(folder) / "relay", database=os.environ.get("BENCH_DATABASE"))
        stage = Stage.build(config)
        with _started(config) as (process, url), _sink(Path(folder)) as sink:
            ratio = asyncio.run(_throughput(stage, url, sink))
            load = asyncio.run(_load(stage, url, seconds))
            peak = _peak_bytes(process.pid)
    return [ratio, *_load_rows(load, seconds), _memory_row(peak)]


@dataclass
class Stage:
    """A project whose roster contains all participants, and an open run."""

    coordinator: Identity
    participants: list[Identity]
    run: UUID = field(default_factory=uuid4)

    @classmethod
    def build(cls, config: RelayConfig) -> "Stage":
        asyncio.run(migrate.prepare(config))
        stage = cls(Identity(os.urandom(32)), [Identity(os.urandom(32)) for _ in range(PARTICIPANTS)])
        transact(config.database_url, stage._enrol, wait_s=60)
        return stage

    def _enrol(self, db: Connection) -> None:
        now, project = time.time(), uuid4()
        sites.add(db, key=self.coordinator.public, name="coordinator", role="coordinator", now=now)
        projects.add(db, project=project, name="load", coordinator=self.coordinator.public, terms=b"", now=now)
        keys = sorted(one.public for one in self.participants)
        for number, key in enumerate(keys):
            sites.add(db, key=key, name=f"site {number}", role="site", now=now)
            projects.invite(db, project=project, site=key, now=now)
            there = {"project": project, "site": key, "now": now}
            projects.move_member(db, from_=MemberState.INVITED, to=MemberState.JOINED, **there)
        projects.add_roster(db, project=project, version=1, sites=keys)
        runs.add(db, run=self.run, project=project, roster_version=1, name="load", now=now)
        runs.change(db, self.run, from_=RunState.CREATED, to=RunState.RUNNING, reason="", now=now)


@contextmanager
def _started(config: RelayConfig) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "relay", "serve", "--json", "--port", "0", "--admin-port", "0"]
    # all participants share one address here
    limits = {"RATE_PER_ADDRESS": "1e6", "MAX_CONNECTIONS_PER_ADDRESS": "8192", "LOG_LEVEL": "warning"}
    if config.database is not None:
        limits["DATABASE"] = config.database.get_secret_value()
    environment = os.environ | {f"SECAGG_RELAY_{name}": value for name, value in limits.items()}
    command += ["--data", str(config.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process, f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.terminate()


@contextmanager
def _sink(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-c", _SINK, str(folder / "sink")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/sink"
        finally:
            process.kill()


async def _throughput(stage: Stage, url: str, sink: str) -> Row:
    """Send the same bytes to relay and sink in turn; pieces are signed only for the relay."""
    ours, bare = [], []
    author = stage.participants[0]
    async with RelayClient(url, author) as client, aiohttp.ClientSession() as session:
        for _ in range(REPETITIONS):
            data = os.urandom(PAYLOAD_BYTES)
            digest = sha256(data).digest()
            start = time.perf_counter()
            await client.upload(stage.run, data, size=len(data), digest=digest, to=stage.coordinator.public)
            ours.append(len(data) / (time.perf_counter() - start))
            start = time.perf_counter()
            for at in range(0, len(data), CHUNK_BYTES):
                piece = data[at : at + CHUNK_BYTES]
                sha256(piece).digest()  # any upload client has to send a digest
                async with session.put(sink, data=BytesIO(piece)) as answer:
                    await answer.read()
            bare.append(len(data) / (time.perf_counter() - start))
    ratio = median(ours) / median(bare)
    measured = f"{ratio:.2f} ({median(ours) / 2**20:.0f} of {median(bare) / 2**20:.0f} MiB/s)"
    return Row("upload of payloads, as a ratio to a bare aiohttp sink", ">= 0.7", measured, ratio >= 0.7)


@dataclass
class Load:
    """The outcome of the load: times of writes from signing to acknowledgement, errors, and messages read."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    read: int = 0
    behind: int = 0


async def _load(stage: Stage, url: str, seconds: float) -> Load:
    """Keep all participants waiting in long polls while they post in turn, at the target rate."""
    load = Load()
    until = time.monotonic() + seconds
    connector = {"give_up_after_s": 30.0}
    clients = [RelayClient(url, one, **connector) for one in stage.participants]
    lead = RelayClient(url, stage.coordinator, **connector)
    for client in (*clients, lead):
        await client.__aenter__()
    try:
        waiting = [asyncio.create_task(_wait(client, until, load)) for client in (*clients, lead)]
        await asyncio.sleep(min(5.0, seconds / 4))
        await _write(stage, clients, until, load)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        for client in (*clients, lead):
            await client.__aexit__(None, None, None)
    return load


async def _wait(client: RelayClient, until: float, load: Load) -> None:
    after = 0
    while time.monotonic() < until:
        try:
            found = await client.messages(after, wait=25)
        except (RelayError, RelayUnavailableError):
            load.errors += 1
            continue
        load.read += len(found)
        after = found[-1].id if found else after


async def _write(stage: Stage, clients: list[RelayClient], until: float, load: Load) -> None:
    posting: set[asyncio.Task[None]] = set()
    number, begun = 0, time.monotonic()
    while time.monotonic() < until:
        due = begun + number / WRITES_A_SECOND
        if due > time.monotonic():
            await asyncio.sleep(due - time.monotonic())
        if len(posting) > 2 * WRITES_A_SECOND:  # an open load: falling behind shows as errors, not as a pause
            load.behind += 1
        else:
            task = asyncio.create_task(_post(stage, clients, number, load))
            posting.add(task)
            task.add_done_callback(posting.discard)
        number += 1
    await asyncio.gather(*posting)


async def _post(stage: Stage, clients: list[RelayClient], number: int, load: Load) -> None:
    who = number % len(clients)
    turn = number // len(clients)
    header = {"kind": 1, "epoch": EPOCH, "round_": turn, "sender": 1, "recipient": 0}
    frame = sign(stage.participants[who], bytes(200), **header).encode()
    start = time.perf_counter()
    try:
        await clients[who].post_message(stage.run, stage.coordinator.public, frame)
    except (RelayError, RelayUnavailableError):
        load.errors += 1
    else:
        load.seconds.append(time.perf_counter() - start)


def _load_rows(load: Load, seconds: float) -> list[Row]:
    p99 = quantiles(load.seconds, n=100)[98]
    rate = len(load.seconds) / (seconds - min(5.0, seconds / 4))
    what = f"{PARTICIPANTS} participants in long polls, {WRITES_A_SECOND} writes/s for {seconds:g} s"
    failed = load.errors + load.behind
    return [
        Row(f"{what}: errors", "0", f"{failed} ({rate:.0f} writes/s, {load.read} read)", failed == 0),
        Row(f"{what}: p99 of a write", "< 500 ms", in_words(p99), p99 < 0.5, {"median": median(load.seconds)}),
    ]


def _peak_bytes(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def _memory_row(peak: int) -> Row:
    return Row("the relay's largest resident size", "< 400 MiB", f"{peak / 2**20:.0f} MiB", peak < 400 << 20)
