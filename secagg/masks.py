"""Masks: AES-256-CTR keystream added to lanes in place, and lists of such masks.

Spec: 02-protocol §4. A mask key is used for one vector; lane i takes the keystream's bytes from i * width on, as a
little-endian integer, so that any slice can be masked separately and a long vector can be split over threads and
machines. If the processor has AES instructions that Numba may use, the keystream never leaves the registers
(`kernels.aes`); otherwise OpenSSL generates it in pieces that stay in the cache. Both give the same bytes.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from secagg import kernels
from secagg.codec import Fixed, Flag, Record, record
from secagg.errors import ParameterError
from secagg.packing import Lanes

KEY_BYTES = 32
_DTYPES = (np.dtype(np.uint32), np.dtype(np.uint64))
_BLOCK = 16
_MOST_BLOCKS = 1 << 40  # in a keystream; the limit of the kernel's counter
_PIECE = 1 << 17  # bytes: OpenSSL's keystream and the lanes stay in the second-level cache
_AT_ONCE = 256  # keys whose streams OpenSSL holds at once
_WORTH_A_THREAD = 1 << 22  # bytes of keystream: under a millisecond of work, ten times a thread's cost

Signed: TypeAlias = tuple[bytes, bool]
"""A keystream's key, and whether to subtract it."""


@record
class Mask(Record):
    """One keystream to add or, if `negate` is set, to subtract."""

    key: Annotated[bytes, Fixed(KEY_BYTES)]
    negate: Annotated[bool, Flag()]


def add_keystream(acc: Lanes, key: bytes, *, negate: bool = False, start: int = 0) -> None:
    """Add the keystream of `key` to `acc` in place, or subtract it.

    The keystream is AES-256-CTR (SP 800-38A) with zero nonce and a 128-bit big-endian counter from 0; lane i of it is
    bytes [i * width, (i + 1) * width) as a little-endian integer. Sums are modulo 2^32 or 2^64, by acc's dtype.

    Args:
        acc: (k,) uint32 or uint64, C-contiguous and writable.
        key: 32 bytes, used for one vector only.
        start: index of acc[0] in the vector.

    Raises:
        ParameterError: wrong dtype, shape or key length.
    """
    if len(key) != KEY_BYTES:
        raise ParameterError("a mask key must have 32 bytes")
    _check(acc, start)
    _share_out(acc, [(key, negate)], start)


def apply(acc: Lanes, masks: Iterable[Mask], *, start: int = 0, remove: bool = False) -> None:
    """Add every mask to `acc` in place; with `remove`, subtract them.

    Large enough work is split over as many threads as NUMBA_NUM_THREADS allows, by default over all cores.

    Args:
        acc: (k,) uint32 or uint64, C-contiguous and writable.
        start: index of acc[0] in the vector.

    Raises:
        ParameterError: wrong dtype or shape.
    """
    _check(acc, start)
    _share_out(acc, [(mask.key, mask.negate != remove) for mask in masks], start)


def _check(acc: Lanes, start: int) -> None:
    if acc.dtype not in _DTYPES or acc.ndim != 1 or not acc.flags.c_contiguous:
        raise ParameterError("acc must be a contiguous 1-D array of uint32 or uint64")
    if not acc.flags.writeable:
        raise ParameterError("acc must be writable")
    if not 0 <= start * acc.itemsize < _BLOCK << 128:
        raise ParameterError("lanes must lie between 0 and the limit of the cipher's counter")


def _share_out(acc: Lanes, signed: Sequence[Signed], start: int) -> None:
    slices = acc.nbytes * len(signed) // _WORTH_A_THREAD
    if slices < 2 or (slices := min(slices, kernels.target.threads())) < 2:
        _combine(acc, signed, start)
        return
    cuts = [len(acc) * i // slices for i in range(slices + 1)]
    with ThreadPoolExecutor(slices) as pool:
        for done in [pool.submit(_combine, acc[cut:end], signed, start + cut) for cut, end in pairwise(cuts)]:
            done.result()


def _combine(acc: Lanes, signed: Sequence[Signed], start: int) -> None:
    kernel = _kernel(acc.dtype)
    if kernel is None or (start + len(acc)) * acc.itemsize > _BLOCK * _MOST_BLOCKS:
        for some in range(0, len(signed), _AT_ONCE):
            _combine_by_openssl(acc, signed[some : some + _AT_ONCE], start)
        return
    keys = np.frombuffer(b"".join([key for key, _ in signed]), "<u4").reshape(-1, 8)
    kernel(acc, start, keys, np.frombuffer(bytes([negate for _, negate in signed]), np.uint8))


@cache
def _kernel(dtype: "np.dtype[Any]") -> Callable[..., None] | None:
    """Return the kernel for this type of lanes, or None if there are no AES instructions that Numba may use."""
    return kernels.aes.accumulate(dtype) if kernels.target.AES_VECTOR_BITS else None  # compiled where it can run


def _combine_by_openssl(acc: Lanes, signed: Sequence[Signed], start: int) -> None:
    """Process the lanes piece by piece, with every key's stream at the same position."""
    counter, skipped = divmod(start * acc.itemsize, _BLOCK)
    streams = []
    for key, negate in signed:
        stream = Cipher(AES256(key), CTR(counter.to_bytes(_BLOCK, "big"))).encryptor()
        if skipped:
            stream.update(bytes(skipped))
        streams.append((stream.update_into, np.subtract if negate else np.add))
    zeros = bytes(min(_PIECE, acc.nbytes))
    piece = bytearray(len(zeros) + _BLOCK - 1)
    keystream = np.frombuffer(piece, np.dtype(acc.dtype).newbyteorder("<"), len(zeros) // acc.itemsize)
    for at in range(0, len(acc), _PIECE // acc.itemsize):
        lanes = acc[at : at + _PIECE // acc.itemsize]
        nothing, some = memoryview(zeros)[: lanes.nbytes], keystream[: len(lanes)]
        for encrypt_into, combine in streams:
            encrypt_into(nothing, piece)
            combine(lanes, some, out=lanes)
