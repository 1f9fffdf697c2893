"""The work that every candidate is given: vectors, seeds, and the lost sites."""

from collections.abc import Iterator
from hashlib import sha256

import numpy as np

CLIP = 8.0
VALUE_BITS = 22


def vector(site: int, d: int) -> np.ndarray:
    """Return a site's vector, (d,) float64 within the clip."""
    return 0.99 * CLIP * np.sin(np.arange(d, dtype=np.float64) * (1 + site / 7) + site)


def plain_sum(n: int, d: int, lost: int) -> np.ndarray:
    return sum((vector(site, d) for site in range(lost, n)), np.zeros(d))


def self_seed(site: int) -> bytes:
    return sha256(b"self %d" % site).digest()


def pair_seed(site: int, other: int) -> bytes:
    return sha256(b"pair %d %d" % (min(site, other), max(site, other))).digest()


def seeds(site: int, n: int) -> list[tuple[bytes, bool]]:
    """Return the seeds of a site's masks (its own, and one per other site), each with whether it subtracts it."""
    pairs = [(pair_seed(site, other), other < site) for other in range(n) if other != site]
    return [(self_seed(site), False), *pairs]


def left(n: int, lost: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the masks left in the sum if sites 0 to lost - 1 never upload, with the signs the survivors gave them."""
    for site in range(lost, n):
        yield self_seed(site), False
        for gone in range(lost):
            yield pair_seed(site, gone), gone < site
