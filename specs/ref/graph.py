"""Sparse graphs: whose frames a site is shown, who holds whose shares, what is private, and how a graph is drawn.

Spec: 02-protocol §10. A graph is a dict of neighbours by site; the complete one is the empty dict.
"""

from collections.abc import Collection, Iterable
from fractions import Fraction
from math import comb

from specs.ref import keys

Graph = dict[int, list[int]]


def ends(graph: Graph, u: int, n: int) -> list[int]:
    """The sites for which u's vault has an entry."""
    return graph[u] if graph else list(range(1, n + 1))


def holders(graph: Graph, u: int, listed: Iterable[int]) -> list[int]:
    return sorted(v for v in listed if not graph or v in graph[u])


def seen(graph: Graph, u: int, listed: Iterable[int]) -> list[int]:
    return sorted(v for v in listed if not graph or v == u or v in graph[u])


def is_private(n: int, k: int, t: int, colluders: int, lost: int, *, malicious: bool) -> bool:
    if k % 2 or not 0 < k < n - 1 or not 2 <= t <= k:
        return False
    gaps = Fraction(n * (n - k - 1), 2) * Fraction(comb(colluders + lost, k), comb(n, k))
    if gaps >= Fraction(1, 2**41):
        return False
    c = k
    while c and more_than(c - 1, n, k, colluders) <= Fraction(1, n * 2**41):
        c -= 1
    return 2 * t > k + c if malicious else t > c


def more_than(c: int, n: int, k: int, colluders: int) -> Fraction:
    """The probability of more than c colluders among k of n sites."""
    ways = sum(comb(colluders, x) * comb(n - colluders, k - x) for x in range(c + 1, k + 1))
    return Fraction(ways, comb(n, k))


def draw(seed: bytes, sites: Collection[int], k: int) -> Graph:
    order = sorted(sites)
    if 2 * k < len(order):
        near = _drawn(seed, order, k)
    else:
        far = _drawn(seed, order, len(order) - 1 - k)
        near = {u: set(order) - {u} - far[u] for u in order}
    return {u: sorted(near[u]) for u in order}


def _drawn(seed: bytes, order: list[int], k: int) -> dict[int, set[int]]:
    used, begin = 0, [u for u in order for _ in range(k)]
    near: dict[int, set[int]] = {u: set() for u in order}
    stubs = begin
    while stubs:
        stream = keys.keystream(seed, 8 * (used + len(stubs)))[8 * used :]
        used += len(stubs)
        numbers = [int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(len(stubs))]
        shuffled = [u for _, u in sorted(zip(numbers, stubs, strict=True), key=lambda one: one[0])]
        left, joined = [], False
        for u, v in zip(shuffled[::2], shuffled[1::2], strict=True):
            if u == v or v in near[u]:
                left += sorted((u, v))
            else:
                near[u].add(v)
                near[v].add(u)
                joined = True
        stubs = left
        if not joined:
            near, stubs = {u: set() for u in order}, begin
    return near
