"""How much does a sparse graph cost a site, and does that grow with its neighbours rather than with the cohort?

Whole epochs of one round with every message, one in twenty sites corrupt and some lost, on one core. Ten thousand sites
take a quarter of an hour.
"""

from time import perf_counter

import numpy as np

from bench.measure import Row, in_words
from secagg import graph
from secagg.simulate import ONE_IN, SimulationResult, simulate

SITES = (100, 1_000, 10_000)
LENGTH = 100


def rows() -> list[Row]:
    simulate(np.ones((4, 1)), clip=1.0, neighbours=2)  # compiles now everything that is compiled on first use
    found = [(n, _degree(n), _cost(n)) for n in SITES]
    (_, least, (base, _)), *_ = found
    return [
        Row(
            f"a site of {n:,} on a graph, semi-honest, d = {LENGTH}",
            "",
            f"{in_words(seconds)}, {sent / 1e3:.0f} kB; with {degree} neighbours, {degree / least:.1f} x as many, "
            f"{seconds / base:.1f} x the time",
            None,
            {"what": "site", "n": n, "degree": degree, "seconds": seconds, "bytes": sent},
        )
        for n, degree, (seconds, sent) in found
    ]


def _degree(n: int) -> int:
    return graph.find(n, corrupt=n // ONE_IN, lost=n // ONE_IN, malicious=False).degree


def _cost(n: int) -> tuple[float, float]:
    """Return a site's seconds and bytes, including drawing the graph, which the simulation does once for all."""
    vectors = np.arange(n * LENGTH, dtype=np.float64).reshape(n, LENGTH) % 255 - 127
    lost = range(0, n, 2 * ONE_IN)
    result: SimulationResult = simulate(
        vectors, clip=127.0, value_bits=8, neighbours="auto", profile="semi-honest", drop_before_upload=lost
    )
    if result.total.tolist() != np.delete(vectors, lost, axis=0).sum(axis=0).tolist():
        raise AssertionError("the sum is wrong; a time without a result means nothing")
    start = perf_counter()
    graph.draw(bytes(32), tuple(range(n)), _degree(n))
    drawn = perf_counter() - start
    return sum(result.seconds["participant"].values()) + drawn, sum(result.bytes_sent["participant"].values())
