"""How do two thousand slow sockets affect everybody else?

A quarter of them each sends nothing, trickles a request head, trickles a signed body, or does not read its answers;
a socket that is closed is opened again. They run in another process on the same cores, all from an address that has
no limit of its own: only the relay's deadlines stop them. An honest site sends fifty requests a second before, during
and after the attack; before and after are the baseline.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.parse import urlsplit

import numpy as np

from bench.measure import Row, in_words
from bench.scene import scene
from relay.client.transport import RelayClient
from secagg.identity import Identity

SOCKETS = 2000
CALM_S, ATTACK_S = 20.0, 40.0
EVERY_S = 0.02
MOST_S = 15.0


def rows() -> list[Row]:
    """Return the row measured on a relay of its own."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_rows(Path(folder)))


async def _rows(folder: Path) -> list[Row]:
    async with scene(folder, 2) as stage:
        honest = stage.coordinator.relay
        before = await _ask(honest, CALM_S)
        attack = asyncio.create_task(_attack(stage.url, stage.sites[0].identity))
        await asyncio.sleep(6)  # until all of them have connected
        during = await _ask(honest, ATTACK_S - 22)
        lived = await attack
        after = await _ask(honest, CALM_S)
    calm = [*before, *after]
    ratio = _p99(during) / _p99(calm)
    figures = {"calm_p99_s": _p99(calm), "attack_p99_s": _p99(during), "ratio": ratio, "lived": lived}
    longest = max(kind["longest_s"] for kind in lived.values())
    closed = sum(kind["closed"] for kind in lived.values())
    return [
        Row(
            f"an honest request beside {SOCKETS:,} slow sockets, 99th percentile",
            "< 2 x without them",
            f"{in_words(_p99(during))}, {ratio:.2f} x {in_words(_p99(calm))}",
            ratio < 2,
            figures,
        ),
        Row(
            f"until the slowest of {closed:,} slow sockets is closed", "<= 15 s", f"{longest:.1f} s", longest <= MOST_S
        ),
    ]


async def _ask(relay: RelayClient, seconds: float) -> list[float]:
    """Send requests at an even pace; returns each answer's latency, counted from when the request was due."""
    times: list[float] = []
    started = perf_counter()

    async def once(due: float) -> None:
        await relay.sites()
        times.append(perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds / EVERY_S)):
            due = started + number * EVERY_S
            await asyncio.sleep(max(0, due - perf_counter()))
            group.create_task(once(due))
    return times


async def _attack(url: str, identity: Identity) -> dict[str, dict[str, float]]:
    place = urlsplit(url)
    given = {"host": place.hostname, "port": place.port, "sockets": SOCKETS, "seconds": ATTACK_S - 15}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.workers.slow_sockets", stdin=-1, stdout=-1, env=dict(os.environ)
    )
    seed = bytes(identity._key).hex()  # noqa: SLF001  # the other process signs as this site
    told, _ = await process.communicate(json.dumps(given | {"seed": seed}).encode())
    if process.returncode:
        raise RuntimeError("the slow sockets broke")
    found: dict[str, dict[str, float]] = json.loads(told)
    return found


def _p99(times: list[float]) -> float:
    return float(np.quantile(times, 0.99))
