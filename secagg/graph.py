"""Who masks with whom in a large cohort: the degree, the threshold, and a random regular graph.

Spec: 02-protocol §10. Paper: Bell et al. 2020 (SecAgg+). With n sites it is enough that each has k = O(log n)
neighbours, if the graph is random and nobody chose it. k and the threshold t among a site's neighbours come from the
published parameter finder; the graph is a pure function of a seed that the sites' nonces make together.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from math import exp, lgamma, log
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from secagg.codec import U16, Ascending, Map, Record, record
from secagg.errors import ParameterError
from secagg.identity import MAX_SITES
from secagg.masks import add_keystream

SECURITY_BITS = 40
CORRECTNESS_BITS = 40
MAX_DRAWS = 1 << 10  # graphs in a run: each further one is another chance, so that 2^-40 becomes 2^-30 at worst
_INFEASIBLE = 0.9  # of the sites corrupt or lost, lost ones twice where the coordinator is malicious


class Parameters(NamedTuple):
    """Each site has so many neighbours, of which so many must answer for it."""

    degree: int
    threshold: int


def find(
    sites: int, *, corrupt: int, lost: int, malicious: bool, correctness_bits: int = CORRECTNESS_BITS
) -> Parameters:
    """Return the least even degree, with its least threshold, that is private and survives the losses.

    A graph fails to be private with probability 2^-40 at most; if `lost` sites drop out at random, then some site has
    too few neighbours left with probability 2^-correctness_bits at most.

    Raises:
        ParameterError: no graph but the complete one will do.
    """
    if corrupt + (2 if malicious else 1) * lost <= _INFEASIBLE * sites:
        for degree in range(2, sites - 1, 2):
            threshold = least_threshold(sites, degree, corrupt=corrupt, lost=lost, malicious=malicious)
            if threshold is not None and _below(threshold, sites, sites - lost, degree) <= _share(
                correctness_bits, sites
            ):
                return Parameters(degree, threshold)
    raise ParameterError(f"no sparse graph over {sites} sites bears {corrupt} corrupt and {lost} lost ones")


def least_threshold(sites: int, degree: int, *, corrupt: int, lost: int, malicious: bool) -> int | None:
    """Return the least threshold that keeps every site's vector private on a random graph, or None if none does.

    Two things may go wrong, each with half of 2^-40: the honest sites that are left are not connected, or some site has
    more than c corrupt neighbours. If not, t > c keeps its secrets closed; 2t > k + c also keeps a malicious
    coordinator from having both of them opened by two parts of its neighbours, as on the complete graph.
    """
    if _log_disconnected(sites, degree, corrupt + lost) >= -(SECURITY_BITS + 1) * log(2):
        return None
    most = _most_corrupt(sites, corrupt, degree, _share(SECURITY_BITS + 1, sites))
    threshold = max(2, (degree + most) // 2 + 1 if malicious else most + 1)
    return threshold if threshold <= degree else None


def is_private(sites: int, graph: Parameters, *, corrupt: int, lost: int, malicious: bool) -> bool:
    """Return whether a graph over so many sites is sparse, and bears the corrupt and the lost ones among them."""
    if graph.degree % 2 or not 0 < graph.degree < sites - 1:
        return False
    least = least_threshold(sites, graph.degree, corrupt=corrupt, lost=lost, malicious=malicious)
    return least is not None and least <= graph.threshold <= graph.degree


def _share(bits: int, sites: int) -> float:
    """Return what each of the sites may contribute to a union bound of 2^-bits."""
    return 2.0**-bits / sites


def _log_disconnected(sites: int, degree: int, bad: int) -> float:
    """Return the logarithm of a bound on the probability that removing `bad` sites at random disconnects the rest.

    In a Harary graph over a random order they must fill two gaps of degree / 2 in the ring; there are n (n - k - 1) / 2
    pairs of places. Uniform regular graphs have fewer such cuts.
    """
    if degree > bad:
        return -float("inf")
    places = log(sites) + log(sites - degree - 1) - log(2)
    return places + lgamma(bad + 1) + lgamma(sites - degree + 1) - lgamma(sites + 1) - lgamma(bad - degree + 1)


def _most_corrupt(sites: int, corrupt: int, degree: int, probability: float) -> int:
    """Return the least c such that a site has more than c corrupt neighbours with at most this probability."""
    total, count = 0.0, min(corrupt, degree)
    while (total := total + _mass(count, sites, corrupt, degree)) <= probability:
        count -= 1
    return count


def _below(threshold: int, sites: int, left: int, degree: int) -> float:
    """Return the probability that fewer than `threshold` of a site's neighbours are among those that are left."""
    return sum(_mass(count, sites, left, degree) for count in range(max(0, degree + left - sites), threshold))


def _mass(count: int, sites: int, marked: int, drawn: int) -> float:
    """Return the hypergeometric probability of `count` marked sites among those drawn."""
    if not max(0, drawn + marked - sites) <= count <= min(marked, drawn):
        return 0.0
    return exp(_log_choose(marked, count) + _log_choose(sites - marked, drawn - count) - _log_choose(sites, drawn))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


# Neighbourhoods ----------------------------------------------------------------------------------------------------


@record
class Graph(Record):
    """Who is whose neighbour, as far as a party needs it: the coordinator everybody's, a site its own and theirs.

    Of the complete graph nobody is listed. Before a sparse one is drawn, those who are listed have no neighbours.
    """

    neighbours: Annotated[Mapping[int, tuple[int, ...]], Map(U16, Ascending(U16, MAX_SITES), MAX_SITES)]

    def ends(self, site: int, sites: Iterable[int]) -> Iterable[int]:
        """Return the other ends of a site's edges, on the complete graph all `sites`: a vault has a seed for each."""
        return self.neighbours[site] if self.neighbours else sites

    def holders(self, dealer: int, listed: Collection[int]) -> list[int]:
        """Return those of `listed`, ascending, that hold a dealer's shares; they are also those whose shares it holds.

        On the complete graph a dealer holds a share of its own. On a sparse one it would be a witness too many: told
        that it survived, it would answer for its seed beside neighbours that were told the opposite.
        """
        return [site for site in self.neighbours[dealer] if site in listed] if self.neighbours else sorted(listed)

    def seen_by(self, site: int, listed: Collection[int]) -> list[int]:
        """Return those of `listed`, ascending, whose frames a site is shown: its neighbours' and its own."""
        if not self.neighbours:
            return sorted(listed)
        return [other for other in sorted((*self.neighbours[site], site)) if other in listed]


COMPLETE = Graph(neighbours={})


# The graph ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)  # pure and public: a process with several parties draws it once
def draw(seed: bytes, sites: tuple[int, ...], degree: int) -> Mapping[int, tuple[int, ...]]:
    """Return each site's neighbours, ascending, in a random regular graph; everyone with this seed draws the same one.

    Args:
        seed: 32 bytes that no party chose.
        sites: ascending.
        degree: even, from 2 to one less than the number of sites.
    """
    n = len(sites)
    if not 0 < degree < n or degree % 2:
        raise ParameterError(f"the degree is even and less than the number of sites, {n}, got {degree}")
    sparse = 2 * degree < n  # otherwise it is the strangers that are drawn: few of them are soon found
    low, high = _edges(seed, n, degree if sparse else n - 1 - degree)
    ends, others = np.append(low, high), np.append(high, low)
    rows = others[np.lexsort((others, ends))].reshape(n, -1).tolist()
    if not sparse:
        rows = [sorted(set(range(n)) - {i, *strangers}) for i, strangers in enumerate(rows)]
    return {site: tuple(sites[i] for i in row) for site, row in zip(sites, rows, strict=True)}


def _edges(seed: bytes, n: int, degree: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lower and the higher end of each edge of a random regular graph over 0 .. n - 1.

    Steger and Wormald 1999, in passes: every vertex has `degree` stubs. A pass sorts them by 64-bit numbers of the
    seed's AES-256-CTR keystream and joins neighbours in pairs; loops and second edges give their stubs to the next
    pass. A pass without an edge starts anew.
    """
    all_stubs, none = np.repeat(np.arange(n), degree), np.empty(0, np.int64)
    stubs, codes, at = all_stubs, none, 0
    while len(stubs):
        numbers = np.zeros(len(stubs), np.uint64)
        add_keystream(numbers, seed, start=at)
        at += len(stubs)
        pairs = np.sort(stubs[np.argsort(numbers, kind="stable")].reshape(-1, 2), axis=1)
        found = pairs[:, 0] * n + pairs[:, 1]
        fresh = np.zeros(len(pairs), np.bool_)
        fresh[np.unique(found, return_index=True)[1]] = True
        fresh &= (pairs[:, 0] != pairs[:, 1]) & ~np.isin(found, codes)
        stubs, codes = (pairs[~fresh].reshape(-1), np.append(codes, found[fresh])) if fresh.any() else (all_stubs, none)
    return np.divmod(codes, n)
