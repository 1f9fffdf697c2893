"""How long does a whole round take on one core, by role and phase?"""

import numpy as np

from bench.measure import Row
from secagg.simulate import PHASES, simulate

_CASES = ((9, 1_000, 0), (20, 100_000, 0), (20, 100_000, 4), (100, 10_000, 10))


def rows() -> list[Row]:
    return [_case(n, d, dropped) for n, d, dropped in _CASES]


def _case(n: int, d: int, dropped: int) -> Row:
    vectors = np.sin(np.arange(n * d, dtype=np.float64)).reshape(n, d)
    result = simulate(vectors, clip=1.0, drop_before_upload=range(dropped))
    bound = 1.001 * len(result.survivors) / (2**20 - 2)
    if np.abs(result.total - vectors[dropped:].sum(axis=0)).max() > bound:
        raise AssertionError("the sum is wrong; a time without a result means nothing")
    parts = [
        f"{role} " + " / ".join(f"{result.seconds[role][phase] * 1e3:.1f}" for phase in PHASES)
        for role in result.seconds
    ]
    sent = sum(result.bytes_sent["participant"].values())
    return Row(
        f"n = {n}, d = {d:,}, {dropped} dropped before upload",
        "",
        f"ms {', '.join(parts)} ({' / '.join(PHASES)}); {sent / 1e3:.0f} kB a site",
        None,
    )
