"""Blockwise randomised Hadamard rotation: spreads the energy of each block of a vector over all of its entries.

Spec: 02-protocol §4. A rotated segment is cut from its start into blocks of 2^k entries, and the rest into blocks given
by the binary digits of its length, largest first. A block x of size n becomes H S x / sqrt(n): S is a diagonal of signs
fixed by the round's public key, H the Hadamard matrix of Sylvester. This map is orthogonal: it preserves a block's
norm, and sums rotate like their addends. Afterwards, every entry has a magnitude of about |x| / sqrt(n), so one
fixed-point step suits entries of any size. Everyone knows the signs before a site computes; they hide nothing.
"""

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.masks import add_keystream
from secagg.params import Segment

_PIECE = 1 << 16  # entries at a time: the largest block that stays in the cache


def rotated(vector: NDArray[Any], segments: Sequence[Segment], key: bytes | None) -> NDArray[Any]:
    """Return the vector with the blocks of its segments rotated, or the vector itself if no segment is rotated.

    Raises:
        ParameterError: a segment is rotated, but there is no key.
    """
    if not any(segment.rotation for segment in segments):
        return vector
    reals = vector.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # the caller then refuses values that are not finite
        for start, blocks in _blocks(reals, segments):
            blocks[:] = _hadamard(blocks * _signs(start, blocks, key))
    return reals


def rotate_back(reals: NDArray[np.float64], segments: Sequence[Segment], key: bytes | None) -> None:
    """Undo the rotation of a vector, or of a sum of vectors, in place. Raises the same errors as `rotated`."""
    with np.errstate(over="ignore", invalid="ignore"):
        for start, blocks in _blocks(reals, segments):
            blocks[:] = _hadamard(blocks) * _signs(start, blocks, key)


def _blocks(reals: NDArray[np.float64], segments: Sequence[Segment]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield views (k, size) of k consecutive blocks of equal size, each with the position of its first entry."""
    at = 0
    for segment in segments:
        end, size = at + segment.count, 1 << segment.rotation
        while segment.rotation and at < end:
            while size > end - at:
                size //= 2
            count = min(_PIECE, (end - at) // size * size)
            yield at, reals[at : at + count].reshape(-1, size)
            at += count
        at = end


def _signs(start: int, blocks: NDArray[np.float64], key: bytes | None) -> NDArray[np.float64]:
    """Return 1 or -1 for each entry: -1 if the keystream's u32 at the entry's position is odd."""
    if key is None:
        raise ParameterError("a rotated segment needs its round's rotation key")
    words = np.zeros(blocks.size, np.uint32)
    add_keystream(words, key, start=start)
    signs: NDArray[np.float64] = 1.0 - 2.0 * (words & np.uint32(1)).astype(np.float64)
    return signs.reshape(blocks.shape)


def _hadamard(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return every row multiplied by H / sqrt(n). Shape: (k, n), n a power of two.

    Neighbours become sum and difference, and the sums move to the front: after log2(n) passes every entry is back at
    its position, and each pass reads and writes sequentially.
    """
    size = blocks.shape[1]
    source, target = blocks, np.empty_like(blocks)
    for _ in range(size.bit_length() - 1):
        np.add(source[:, 0::2], source[:, 1::2], out=target[:, : size // 2])
        np.subtract(source[:, 0::2], source[:, 1::2], out=target[:, size // 2 :])
        source, target = target, np.empty_like(blocks) if source is blocks else source
    return source * sqrt(2.0 ** -(size.bit_length() - 1))
