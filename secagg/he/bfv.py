"""BFV encryption (Brakerski 2012; Fan and Vercauteren 2012) of vectors of slots, with TenSEAL.

Spec: 02-protocol §11. All members share one secret key, derived from a seed, and encrypt with it: no public key exists,
so nobody else can encrypt, and no context is ever sent. The suite fixes the parameters.
"""

import numpy as np
import tenseal
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.he import seal
from secagg.he.ciphertext import Ciphertext
from secagg.he.parameters import HeParameters
from secagg.he.secret import ternary, transform
from secagg.he.slots import Slots


class BfvKey:
    """The secret key derived from a seed; encrypts and opens.

    Args:
        seed: 32 secret bytes, used for one round only.
    """

    __slots__ = ("_context", "parameters")

    def __init__(self, seed: bytes, parameters: HeParameters) -> None:
        self.parameters = parameters
        coefficients = ternary(seed, parameters.degree)
        transforms = [transform(coefficients, prime) for prime in parameters.primes]
        self._context = tenseal.context_from(seal.context_bytes(parameters, transforms), n_threads=1)

    def encrypt(self, slots: Slots) -> Ciphertext:
        """Return the ciphertext of N slots, using the operating system's randomness.

        Raises:
            ParameterError: not N slots below t.
        """
        if slots.shape != (self.parameters.degree,) or (slots >= self.parameters.plain_modulus).any():
            raise ParameterError(f"a ciphertext must have {self.parameters.degree} slots, each below t")
        vector = tenseal.bfv_vector(self._context, slots.tolist())
        return Ciphertext(self.parameters, seal.residues_of(vector.serialize(), self.parameters).copy())

    def open(self, ciphertext: Ciphertext) -> Slots:
        """Return the slots of a ciphertext with these parameters; meaningless if it was made under another key.

        Raises:
            ParameterError: it has other parameters.
        """
        vector = self.load(ciphertext)
        centred: NDArray[np.int64] = np.array(vector.decrypt(), np.int64)
        return np.where(centred < 0, centred + np.int64(self.parameters.plain_modulus), centred).view(np.uint64)

    def load(self, ciphertext: Ciphertext) -> tenseal.BFVVector:
        if ciphertext.parameters != self.parameters:
            raise ParameterError("the ciphertext belongs to another context")
        data = seal.vector_bytes(self.parameters, ciphertext.residues, self.parameters.degree)
        return tenseal.bfv_vector_from(self._context, data)
