"""Masks: AES-256-CTR keystream added to lanes in place, and lists of such masks.

Spec: 02-protocol §4. A mask key is used for one vector; lane i takes the keystream's bytes from i * width on, read as a
little-endian integer, so that any slice can be masked by itself and a long vector can be shared out.
"""

from collections.abc import Iterable
from typing import Annotated

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from secagg.codec import Fixed, Flag, Record, record
from secagg.errors import ParameterError
from secagg.packing import Lanes

KEY_BYTES = 32
_BLOCK = 16
_PIECE = 1 << 16  # bytes: keystream and lanes of a piece stay in the second-level cache


@record
class Mask(Record):
    """One keystream to add, or with `negate` to subtract."""

    key: Annotated[bytes, Fixed(KEY_BYTES)]
    negate: Annotated[bool, Flag()]


def add_keystream(acc: Lanes, key: bytes, *, negate: bool = False, start: int = 0) -> None:
    """Add the keystream of `key` to `acc` in place, or subtract it.

    The keystream is AES-256-CTR (SP 800-38A) with zero nonce and a 128-bit big-endian counter from 0; lane i of it is
    bytes [i * width, (i + 1) * width) as a little-endian integer. Sums are modulo 2^32 or 2^64, by acc's dtype.

    Args:
        acc: (k,) uint32 or uint64, C-contiguous and writable.
        key: 32 bytes, used for one vector only.
        start: the vector's lane that acc[0] is.

    Raises:
        ParameterError: dtype, shape or key length.
    """
    if acc.dtype not in {np.dtype(np.uint32), np.dtype(np.uint64)} or acc.ndim != 1 or not acc.flags.c_contiguous:
        raise ParameterError("acc is a contiguous 1-D array of uint32 or uint64")
    if not acc.flags.writeable:
        raise ParameterError("acc is writable")
    width = acc.itemsize
    if len(key) != KEY_BYTES or not 0 <= start * width < _BLOCK << 128:
        raise ParameterError("a mask key has 32 bytes, and lanes count from 0 as far as the cipher's counter goes")
    skipped = start * width % _BLOCK
    counter = (start * width // _BLOCK).to_bytes(_BLOCK, "big")
    stream = Cipher(AES256(key), CTR(counter)).encryptor()
    stream.update(bytes(skipped))
    zeros = bytes(min(_PIECE, acc.nbytes))
    piece = bytearray(len(zeros) + _BLOCK - 1)
    combine = np.subtract if negate else np.add
    for at in range(0, len(acc), _PIECE // width):
        lanes = acc[at : at + _PIECE // width]
        stream.update_into(memoryview(zeros)[: lanes.nbytes], piece)
        keystream = np.frombuffer(piece, np.dtype(acc.dtype).newbyteorder("<"), len(lanes))
        combine(lanes, keystream, out=lanes)


def apply(acc: Lanes, masks: Iterable[Mask], *, start: int = 0, remove: bool = False) -> None:
    """Add every mask to `acc` in place; with `remove`, take them away. `start` as in `add_keystream`."""
    for mask in masks:
        add_keystream(acc, mask.key, negate=mask.negate != remove, start=start)
