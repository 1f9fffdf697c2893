"""What a blind coordinator computes: factors, inner products, weighted means."""

import numpy as np
import pytest

from secagg.errors import HeadroomError, ParameterError
from secagg.he import linear
from secagg.he import slots as sl
from secagg.he.bfv import BfvKey
from secagg.he.ciphertext import Ciphertext
from secagg.he.parameters import PRODUCTS, SUMS
from secagg.masks import Mask
from secagg.simulate import simulate
from secagg.weighted import WeightedMean

SEED = b"another seed of 32 bytes, for us"
MASKS = [Mask(key=bytes([i]) * 32, negate=False) for i in range(1, 6)]


def signed(values: np.ndarray, t: int) -> np.ndarray:
    return (values % t).astype(np.uint64)


def uploads(values: np.ndarray, key: BfvKey) -> list[Ciphertext]:
    """Return the encrypted sum of rows, one value a slot, each row under a mask of its own."""
    n, t = key.parameters.degree, key.parameters.plain_modulus
    totals = [Ciphertext.zero(key.parameters) for _ in range(values.shape[1] // n)]
    for row, mask in zip(values, MASKS, strict=True):
        masked = signed(row, t)
        sl.mask(masked, [mask], t)
        for i, total in enumerate(totals):
            total.add(key.encrypt(masked[i * n : (i + 1) * n]))
    return totals


@pytest.mark.parametrize("factor", [1, -1, 100, -152])
def test_a_sum_times_an_integer(factor):
    key, t = BfvKey(SEED, SUMS), SUMS.plain_modulus
    rows = np.arange(5 * SUMS.degree).reshape(5, -1) * 9_001 % (1 << 20) - (1 << 19)
    SUMS.check(5, scale=factor)
    (total,) = uploads(rows, key)
    opened = linear.open_scaled(key, total.scaled(factor), factor, MASKS)
    assert opened.tolist() == signed(factor * rows.sum(axis=0), t).tolist()
    assert (linear.open_scaled(key, total.scaled(factor), factor, MASKS[1:]) == opened).sum() < 3  # a mask is left


def test_the_inner_product_with_a_plain_vector():
    """A linear score over two ciphertexts; all masks, or all but one, are taken from it."""
    key = BfvKey(SEED, PRODUCTS)
    rows = np.arange(5 * 2 * PRODUCTS.degree).reshape(5, -1) * 9_001 % (1 << 20) - (1 << 19)
    weights = np.arange(2 * PRODUCTS.degree - 7) * 31 % 2_000 - 1_000
    linear.check_product(weights, 5, 1 << 19, PRODUCTS)
    product = linear.Evaluator(PRODUCTS).inner_product(uploads(rows, key), weights)
    again = Ciphertext.decode(product.encode(), PRODUCTS)
    exact = int((rows.sum(axis=0)[: len(weights)] * weights).sum())
    slots = 2 * PRODUCTS.degree
    assert linear.open_product(key, again, weights, MASKS, slots) == exact
    assert linear.open_product(key, again, weights, MASKS[1:], slots) != exact


def test_the_inner_product_with_weights_for_one_ciphertext_of_two():
    key, weights = BfvKey(SEED, PRODUCTS), np.zeros(PRODUCTS.degree + 3, np.int64)
    rows = np.arange(5 * 2 * PRODUCTS.degree).reshape(5, -1) % (1 << 20)
    weights[-3:] = (5, -7, 11)
    product = linear.Evaluator(PRODUCTS).inner_product(uploads(rows, key), weights)
    exact = int((rows.sum(axis=0)[: len(weights)] * weights).sum())
    assert linear.open_product(key, product, weights, MASKS, 2 * PRODUCTS.degree) == exact


def test_products_that_could_not_be_opened_are_refused_beforehand():
    weights = np.full(8, 1 << 30)
    linear.check_product(weights, 5, 1 << 19, PRODUCTS)
    with pytest.raises(HeadroomError):
        linear.check_product(weights, 500, 1 << 24, PRODUCTS)  # the result could wrap around
    with pytest.raises(HeadroomError):
        PRODUCTS.check(200, products=1 << 40)
    with pytest.raises(HeadroomError):
        linear.check_product(weights, 5, 1 << 19, SUMS)  # no room for the noise of a product
    with pytest.raises(ParameterError):
        linear.check_product(np.array([1 << 60]), 3, 1, PRODUCTS)
    with pytest.raises(ParameterError, match="more weights"):
        linear.Evaluator(PRODUCTS).inner_product([], weights)


def test_a_weighted_mean_is_the_one_without_encryption():
    terms, weights = WeightedMean(clip=4.0, cap=100.0), [10.0 * i + 1 for i in range(8)]
    rows = np.sin(np.arange(40)).reshape(8, 5) * 3
    sent = [terms.vector(row, weight).vector for row, weight in zip(rows, weights, strict=True)]
    clips = [segment.clip for segment in terms.segments(5) for _ in range(segment.count)]
    encrypted, plain = (simulate(sent, clip=clips, mode=mode).total for mode in ("he", "masks"))
    assert encrypted.tolist() == plain.tolist()
    assert terms.mean(encrypted) == pytest.approx(np.average(rows, axis=0, weights=weights), abs=0.01)
