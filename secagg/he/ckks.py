"""CKKS encryption (Cheon, Kim, Kim and Song 2017) of masked entries, for sums with a stated error.

Entries are those of protocol 1, masked modulo 2^b, b <= 28, and encrypted as reals: N / 2 in a ciphertext, at a scale
of 2^36. A sum of n ciphertexts opens to the sum of the n masked entries with an error of at most `error_bound(n)` in
each, and the masks are removed from it modulo 2^b. The error never leaves this module in a result: sums are of
integers, and what is opened is rounded, so that nothing published carries noise that speaks of the key (Li and
Micciancio 2021).

An entry takes 36 bytes here and 9 under BFV, for a sum that is the same once it is rounded: it is the scheme to go on
from where factors are no integers.
"""

import numpy as np
import tenseal
from numpy.typing import NDArray

from secagg.errors import HeadroomError, ParameterError
from secagg.he import seal
from secagg.he.ciphertext import Ciphertext
from secagg.he.parameters import APPROXIMATE, NOISE_BOUND
from secagg.he.secret import ternary, transform

SCALE = float(1 << 36)
MOST_BITS = 28
CAPACITY = APPROXIMATE.degree // 2


def error_bound(parties: int) -> float:
    """Return the largest error of an opened entry of a sum.

    A slot is the value of the noise polynomial at a root of one, so at most N times its largest coefficient: 21 of the
    encryption and 1/2 of rounding for each ciphertext. Encoding and opening are in binary64, whose own error for n
    values below 2^27 stays below n 2^-14 with a margin of 2^12 over the rounding of log2(N) additions.
    """
    return parties * (APPROXIMATE.degree * (NOISE_BOUND + 0.5) / SCALE + 2**-14)


def check(parties: int) -> None:
    """Check that a sum of so many ciphertexts opens to the right integers.

    Raises:
        HeadroomError: the error could reach 1/2, or the sum the modulus; nothing was encrypted.
    """
    if error_bound(parties) >= 0.5 or parties * SCALE * 2 ** (MOST_BITS - 1) >= APPROXIMATE.modulus / 2:
        raise HeadroomError(f"a sum of {parties} ciphertexts is beyond the stated error: take fewer parties, or BFV")


class CkksKey:
    """The secret key of a seed of one use; encrypts and opens reals."""

    __slots__ = ("_context",)

    def __init__(self, seed: bytes) -> None:
        coefficients = ternary(seed, APPROXIMATE.degree)
        transforms = [transform(coefficients, prime) for prime in APPROXIMATE.primes]
        self._context = tenseal.context_from(seal.context_bytes(APPROXIMATE, transforms, SCALE), n_threads=1)

    def encrypt(self, values: NDArray[np.float64]) -> Ciphertext:
        """Return the ciphertext of at most N / 2 reals.

        Raises:
            ParameterError: too many, or one of 2^27 and more in absolute value.
        """
        if not 0 < len(values) <= CAPACITY or not (np.abs(values) <= 2 ** (MOST_BITS - 1)).all():
            raise ParameterError(f"a ciphertext holds 1 to {CAPACITY} reals up to 2^{MOST_BITS - 1}")
        filled = np.zeros(CAPACITY)
        filled[: len(values)] = values
        vector = tenseal.ckks_vector(self._context, filled.tolist())
        return Ciphertext(APPROXIMATE, seal.residues_of(vector.serialize(), APPROXIMATE).copy())

    def open(self, ciphertext: Ciphertext) -> NDArray[np.float64]:
        """Return the N / 2 reals of a sum of ciphertexts, each within its `error_bound`."""
        if ciphertext.parameters != APPROXIMATE:
            raise ParameterError("the ciphertext is of another context")
        data = seal.vector_bytes(APPROXIMATE, ciphertext.residues, CAPACITY, SCALE)
        return np.array(tenseal.ckks_vector_from(self._context, data).decrypt())
