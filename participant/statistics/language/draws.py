"""Pseudorandom numbers, determined by a seed and by existing numbers.

    h <- mix(h xor b),  from h = mix(seed), for the 64 bits b of each number in turn

with SplitMix64's finaliser as `mix`. Anyone who knows the numbers and the seed knows the draws: they spread rows
evenly, but keep nothing secret.

Source: Steele, Lea, Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators".
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def drawn(numbers: Iterable[NDArray[np.float64]], seed: int | Words) -> Words:
    """Return 64 bits for each row.

    Args:
        numbers: arrays (rows,), at least one; 0 and -0 count as equal.
        seed: seed from 0 to 2^64 - 1, or one for each row.
    """
    words = _mixed(np.atleast_1d(np.array(seed, np.uint64)))
    for column in numbers:
        words = _mixed(words ^ (column + 0.0).view(np.uint64))
    return words


def uniform(words: Words) -> NDArray[np.float64]:
    """Return numbers strictly between 0 and 1."""
    numbers: NDArray[np.float64] = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return numbers


def _mixed(words: Words) -> Words:
    words = words + _STEP  # arrays of unsigned integers wrap around
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))
