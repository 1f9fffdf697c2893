"""Computations on a sum that the coordinator cannot see: integer factors, inner products with plain vectors.

Spec: 02-protocol §11. BFV is linear modulo t, and the masks lie in the slots, so the coordinator's map acts on the
masks as well: sites that know the map, as part of the query, apply it to the masks that they remove. A weighted mean
needs no map: its weights are entries of the vectors (`secagg.weighted`). Inner products need one value per slot and the
parameters `PRODUCTS`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secagg import kernels
from secagg.errors import HeadroomError, ParameterError
from secagg.he import seal
from secagg.he.bfv import BfvKey
from secagg.he.ciphertext import Ciphertext
from secagg.he.parameters import HeParameters, barrett
from secagg.he.slots import Slots, mask
from secagg.masks import Mask


def check_product(weights: NDArray[np.int64], parties: int, bound: int, parameters: HeParameters) -> None:
    """Check that the inner product with a sum can be opened.

    Args:
        weights: (m,) integers.
        bound: largest absolute value in a vector.

    Raises:
        ParameterError: a weight is t / 2 or more.
        HeadroomError: the result could wrap around modulo t, or the noise could be too large; nothing was computed.
    """
    t = parameters.plain_modulus
    largest = sum(abs(int(weight)) for weight in weights) * parties * bound
    if len(weights) and max(abs(int(weight)) for weight in weights) >= t // 2:
        raise ParameterError("a weight is smaller than t / 2 in absolute value")
    if largest >= t // 2:
        raise HeadroomError(f"the inner product could reach {largest}, and t / 2 is {t // 2}")
    parameters.check(parties, products=-(-len(weights) // parameters.degree))


class Evaluator:
    """Computes on ciphertexts without a key."""

    __slots__ = ("_any", "parameters")

    def __init__(self, parameters: HeParameters) -> None:
        self.parameters = parameters
        self._any = BfvKey(bytes(32), parameters)  # TenSEAL requires a key; products do not use it

    def inner_product(self, ciphertexts: Sequence[Ciphertext], weights: NDArray[np.int64]) -> Ciphertext:
        """Return one ciphertext whose N slots add up to the inner product of all slots with the weights.

        Raises:
            ParameterError: more weights than slots.
        """
        degree = self.parameters.degree
        if len(weights) > degree * len(ciphertexts):
            raise ParameterError("more weights than slots")
        padded = np.zeros(degree * len(ciphertexts), np.int64)
        padded[: len(weights)] = weights
        total = Ciphertext.zero(self.parameters)
        for ciphertext, factors in zip(ciphertexts, padded.reshape(-1, degree), strict=True):
            if not factors.any():
                continue  # SEAL rejects a product with zero as a ciphertext
            product = self._any.load(ciphertext).mul(factors.tolist())
            total.add(Ciphertext(self.parameters, seal.residues_of(product.serialize(), self.parameters).copy()))
        return total


def open_product(
    key: BfvKey, product: Ciphertext, weights: NDArray[np.int64], masks: Sequence[Mask], slots: int
) -> int:
    """Return the inner product of a sum with the weights, after subtracting the masks' inner product.

    Args:
        masks: masks left in the sum of `slots` slots.
    """
    t = key.parameters.plain_modulus
    left = np.zeros(slots, np.uint64)
    mask(left, masks, t)
    factors = (np.asarray(weights) % t).astype(np.uint64)
    removed = int(kernels.modular.dot(left[: len(factors)], factors, *barrett(t)))
    opened = int(sum(key.open(product).tolist()) - removed) % t
    return opened - t if opened > t // 2 else opened


def open_scaled(key: BfvKey, ciphertext: Ciphertext, factor: int, masks: Sequence[Mask], *, start: int = 0) -> Slots:
    """Return the slots of a sum times an integer factor, from slot `start` on, minus the masks times the factor."""
    t = key.parameters.plain_modulus
    left = np.zeros(key.parameters.degree, np.uint64)
    mask(left, masks, t, start=start)
    scaled = np.empty_like(left)
    kernels.modular.multiply(left, np.full(len(left), factor % t, np.uint64), *barrett(t), scaled)
    opened = key.open(ciphertext) + np.uint64(t) - scaled
    reduced: Slots = np.minimum(opened, opened - np.uint64(t))
    return reduced
