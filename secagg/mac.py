"""Lanes that authenticate a sum: linear checks under a key that only the sites share.

Spec: 02-protocol §4. A lane is <rho, x'> mod 2^64: rho comes from a keystream, and x' is a site's m signed integers
followed by n more, of which the site's own is 1 and the others are 0. The sums of the lanes must match the published
sum and the set it covers. They are linear, so they reveal nothing beyond that, even to someone who knows rho. The n
entries are a one-time pad for <rho, x>: without them the coordinator could publish any multiple of a sum and its lanes,
even zeros.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from secagg.codec import u16, u32
from secagg.keys import derive
from secagg.masks import add_keystream

_SLICE = 1 << 16  # lanes of rho at a time, so that memory use does not grow with the vector


def session_key(kappas: Iterable[bytes], *, epoch: bytes) -> bytes:
    """Return K_mac from the sites' seeds, in the order of their indices."""
    return derive(b"".join(kappas), "mac-session", epoch=epoch)


def presence(sites: Iterable[int], count: int) -> NDArray[np.int64]:
    """Return the entries that the lanes cover after a vector's own: `count` entries, 1 for each site in the sum."""
    marks = np.zeros(count, np.int64)
    marks[[site - 1 for site in sites]] = 1
    return marks


def lanes(
    key: bytes, values: NDArray[np.int64], count: int, *, round_: int, context: bytes, epoch: bytes, start: int = 0
) -> list[int]:
    """Return `count` lanes mod 2^64 over a site's integers, or over the centred sum of all sites' integers.

    The lanes of a vector's slices, each computed from its `start`, add up to those of the whole vector.
    """
    result = []
    for number in range(count):
        lane_key = derive(key, "mac", u32(round_), context, u16(number), epoch=epoch)
        total = 0
        for at in range(0, len(values), _SLICE):
            part = values[at : at + _SLICE].view(np.uint64)
            rho = np.zeros(len(part), np.uint64)
            add_keystream(rho, lane_key, start=start + at)
            total += int(np.dot(rho, part))
        result.append(total & 0xFFFFFFFFFFFFFFFF)
    return result
