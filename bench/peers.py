"""How much faster are we than the peers, doing the same work in the same run?

Flower's SecAgg+ functions and Fed-BioMed's LOM run in an environment of their own, each candidate in a process of its
own on the same core, in turn. All get the same vectors, seeds, bits and drop-outs. Nothing is timed before the same
functions, for n = 100 and vectors of 1,000 entries, have given the plain sum within their own quantisation error.
Key agreement, encryption and transport are left out on all sides.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from bench.measure import Row, against, in_turn
from bench.workers.environment import python
from bench.workers.pipe import Worker
from bench.workers.work import CLIP, VALUE_BITS, plain_sum

FLOWER, LOM = "Flower 1.42.0", "Fed-BioMed 6.4.1's LOM"
SECRET = bytes(range(64)).hex()
# glibc returns large arrays to the system when they are freed, or not, depending on what was allocated before, and the
# page faults of allocating them again made the same work take 33 s or 102 s. Here all candidates keep their memory.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 30)}


class Candidates(NamedTuple):
    """Every candidate's process."""

    ours: Worker
    flower: Worker
    lom: Worker


@contextmanager
def candidates() -> Iterator[Candidates]:
    """Start all candidates; raises if the sum of one is wrong."""
    peers = python()
    with (
        Worker("ours", **KEEP_MEMORY) as ours,
        Worker("flower", peers, **KEEP_MEMORY, FLWR_TELEMETRY_ENABLED="0") as flower,
        Worker("lom", peers, **KEEP_MEMORY) as lom,
    ):
        check_sums(Candidates(ours, flower, lom), n=100, d=1000, lost=30)
        yield Candidates(ours, flower, lom)


def check_sums(who: Candidates, *, n: int, d: int, lost: int) -> None:
    """Compare every candidate's sum, with all its masks and drop-outs, with the plain sum.

    Raises:
        AssertionError: an entry's error exceeds what rounding explains: half a step per vector, or a whole step if
            rounding is stochastic.
    """
    step = 2 * CLIP / (2**VALUE_BITS - 2)
    sums = {
        "ours": (who.ours("total", n=n, d=d, lost=lost), lost, step / 2),
        FLOWER: (who.flower("total", n=n, d=d, lost=lost), lost, step),
        LOM: (who.lom("total", n=n, d=d), 0, step / 2),  # it cannot handle drop-outs
    }
    for name, (total, gone, rounding) in sums.items():
        if np.abs(np.array(total) - plain_sum(n, d, gone)).max() > 1.001 * (n - gone) * rounding:
            raise AssertionError(f"the sum of {name} is wrong; a time without a result means nothing")


def rows() -> list[Row]:
    with candidates() as who:
        return [*_client(who), _removal(who), _shamir(who), _lom(who)]


def _client(who: Candidates, n: int = 100, d: int = 10**6) -> Iterator[Row]:
    seconds = in_turn(
        {
            "ours": lambda: who.ours("client", n=n, d=d),
            "pairs": lambda: who.flower("client", n=n, d=d, pairs_alone=True),
            "as composed": lambda: who.flower("client", n=n, d=d),
        },
        repetitions=7,
    )
    work = f"client, n = {n}, d = {d:,}: quantise + {n} masks + pack"
    yield against(
        f"{work}, against quantise + {n - 1} x (prg + add + mod)", FLOWER, seconds["ours"], seconds["pairs"], least=25
    )
    yield against(
        f"{work}, against quantise + {n} x (prg + add) + mod, as its own client does",
        FLOWER,
        seconds["ours"],
        seconds["as composed"],
    )


def _removal(who: Candidates, n: int = 100, d: int = 10**5, lost: int = 30, sample: int = 500) -> Row:
    masks = (n - lost) * (1 + lost)
    seconds = in_turn(
        {
            "ours": lambda: who.ours("server", n=n, d=d, lost=lost),
            "mask": lambda: who.flower("removal", n=n, d=d, lost=lost, sample=sample, mod_each=True),
        },
        repetitions=5,
    )
    return against(
        f"server, n = {n}, d = {d:,}, {lost} dropped before upload: add {n - lost} uploads and remove {masks:,} masks, "
        f"against (prg + add + mod) for these masks, scaled from {sample} of them",
        FLOWER,
        seconds["ours"],
        masks * seconds["mask"],
    )


def _shamir(who: Candidates, n: int = 100, threshold: int = 67) -> Row:
    asked = {"secret": SECRET, "holders": n, "threshold": threshold}
    seconds = in_turn(
        {
            "ours": lambda: who.ours("split_and_combine", **asked),
            "flower": lambda: who.flower("split_and_combine", **asked),
        },
        repetitions=7,
    )
    name = f"Shamir, 64-byte secret, n = {n}, t = {threshold}: split + combine"
    return against(name, FLOWER, seconds["ours"], seconds["flower"], least=100)


def _lom(who: Candidates, n: int = 100, d: int = 10**6) -> Row:
    """Time LOM's client once: it runs so long that a busy moment makes no difference."""
    theirs = who.lom("client", n=n, d=d)
    ours = in_turn({"ours": lambda: who.ours("client", n=n, d=d)}, repetitions=7)["ours"]
    return against(
        f"client, n = {n}, d = {d:,}: quantise + {n} masks + pack, against protect ({n - 1} masks of 64-bit entries, "
        "integers given; run once)",
        LOM,
        ours,
        theirs,
    )
