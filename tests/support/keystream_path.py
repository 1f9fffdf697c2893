"""Tests one path of the keystream against OpenSSL in its own process; prints the vector bits that it ran with.

It covers every length from 0 to 5,000 lanes at eight memory alignments, and every start within two groups of the
widest vectors at three lengths, with both signs in turn.
"""

import sys
from itertools import product

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from secagg import masks
from secagg.kernels.target import AES_VECTOR_BITS

KEY = bytes(range(32))
LENGTHS = range(5001)
ALIGNMENTS = range(8)  # in lanes: 32 or 64 bytes, the widest alignment that a load can require
STARTS = range(2 * 8 * 64 // 4 + 2)


def main() -> None:
    for dtype in (np.uint32, np.uint64):
        width = np.dtype(dtype).itemsize
        stream = Cipher(AES256(KEY), CTR(bytes(16))).encryptor().update(bytes(width * (LENGTHS[-1] + len(STARTS))))
        keystream = np.frombuffer(stream, np.dtype(dtype).newbyteorder("<")).astype(dtype)
        memory = np.arange(LENGTHS[-1] + len(ALIGNMENTS), dtype=dtype)
        cases = [(length, length % len(STARTS), at) for length, at in product(LENGTHS, ALIGNMENTS)]
        cases += [(length, start, start % len(ALIGNMENTS)) for length, start in product((1, 63, 1025), STARTS)]
        for turn, (length, start, at) in enumerate(cases):
            lanes = memory[at : at + length]
            expected = memory.copy()
            negate = turn % 2 == 1
            change = keystream[start : start + length]
            expected[at : at + length] += -change if negate else change
            masks.add_keystream(lanes, KEY, negate=negate, start=start)
            if memory.tobytes() != expected.tobytes():
                sys.exit(f"{width} bytes a lane: length {length}, start {start}, {at} lanes into memory")
    print(AES_VECTOR_BITS)


main()
