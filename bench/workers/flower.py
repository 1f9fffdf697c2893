"""Flower's side: its own functions, combined as in its SecAgg+ client and workflow.

Key agreement, encryption and transport are left out on all sides; vectors, seeds and drop-outs are the same for all.
"""

from collections.abc import Iterable
from itertools import islice
from statistics import median
from time import process_time

import numpy as np
from flwr.common.secure_aggregation.crypto.shamir import combine_shares, create_shares
from flwr.common.secure_aggregation.ndarrays_arithmetic import (
    parameters_addition,
    parameters_mod,
    parameters_subtraction,
)
from flwr.common.secure_aggregation.quantization import dequantize, quantize
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

from bench.workers.pipe import serve
from bench.workers.work import CLIP, VALUE_BITS, left, seeds, vector

TARGET = 1 << VALUE_BITS
MODULUS = 1 << 32  # Flower's default


def masked(values: np.ndarray, masks: Iterable[tuple[bytes, bool]], *, mod_each: bool = False) -> list[np.ndarray]:
    """Quantise and add all masks; with `mod_each` reduce after each mask, else once at the end, as its client does."""
    parameters = quantize([values], CLIP, TARGET)
    for seed, negate in masks:
        parameters = added(parameters, seed, negate)
        if mod_each:
            parameters = parameters_mod(parameters, MODULUS)
    return parameters_mod(parameters, MODULUS)


def added(parameters: list[np.ndarray], seed: bytes, negate: bool) -> list[np.ndarray]:
    mask = pseudo_rand_gen(seed, MODULUS, [array.shape for array in parameters])
    return (parameters_subtraction if negate else parameters_addition)(parameters, mask)


def client(n: int, d: int, *, pairs_alone: bool = False) -> float:
    """Return the client's seconds; with `pairs_alone`, for n - 1 masks with a reduction each, else as in its client."""
    values, masks = vector(0, d), seeds(0, n)
    start = process_time()
    masked(values, masks[1:] if pairs_alone else masks, mod_each=pairs_alone)
    return process_time() - start


def removal(n: int, d: int, lost: int, sample: int, *, mod_each: bool = False) -> float:
    """Return the median seconds to generate and add one mask, over a sample of those left in the sum.

    With `mod_each`, each mask is followed by a reduction; its workflow reduces once, at the end.
    """
    acc = [np.zeros(d, np.int64)]
    seconds = []
    for seed, negate in islice(left(n, lost), sample):
        start = process_time()
        acc = added(acc, seed, not negate)
        if mod_each:
            acc = parameters_mod(acc, MODULUS)
        seconds.append(process_time() - start)
    return median(seconds)


def addition(d: int) -> float:
    """Return the seconds to add one upload."""
    acc, upload = [np.zeros(d, np.int64)], quantize([vector(0, d)], CLIP, TARGET)
    start = process_time()
    parameters_addition(acc, upload)
    return process_time() - start


def total(n: int, d: int, lost: int) -> list[float]:
    """Return the sum of all vectors except the lost ones, computed with every mask."""
    acc = [np.zeros(d, np.int64)]
    for site in range(lost, n):
        acc = parameters_addition(acc, masked(vector(site, d), seeds(site, n)))
    for seed, negate in left(n, lost):
        acc = added(acc, seed, not negate)
    (reals,) = dequantize(parameters_mod(acc, MODULUS), CLIP, TARGET)
    return (reals - (n - lost - 1) * CLIP).tolist()


def split_and_combine(secret: str, holders: int, threshold: int) -> float:
    """Return the seconds for both, after checking that the secret was recovered."""
    data = bytes.fromhex(secret)
    start = process_time()
    back = combine_shares(create_shares(data, threshold, holders)[:threshold])
    seconds = process_time() - start
    if back != data:
        raise AssertionError("the secret did not come back")
    return seconds


if __name__ == "__main__":
    serve(
        {
            "client": client,
            "removal": removal,
            "addition": addition,
            "total": total,
            "split_and_combine": split_and_combine,
        }
    )
