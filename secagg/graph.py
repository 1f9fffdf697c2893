"""The pairs that share masks in a large cohort: the degree, the threshold, and a random regular graph.

Spec: 02-protocol §10. Paper: Bell et al. 2020 (SecAgg+). With n sites, k = O(log n) neighbours each are enough if the
graph is random and chosen by nobody. k and the threshold t among a site's neighbours come from the published parameter
finder; the graph is a pure function of a seed to which the nonces of all sites contribute.
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
MAX_DRAWS = 1 << 10  # graphs in a run: each gives an attacker another chance, so 2^-40 becomes 2^-30 at worst
_INFEASIBLE = 0.9  # fraction of sites corrupt or lost; lost ones count twice if the coordinator is malicious


class Parameters(NamedTuple):
    """The number of neighbours of each site, and the number of them that must answer for it."""

    degree: int
    threshold: int


def find(
    sites: int, *, corrupt: int, lost: int, malicious: bool, correctness_bits: int = CORRECTNESS_BITS
) -> Parameters:
    """Return the least even degree, with its least threshold, that gives privacy and survives the losses.

    The graph fails to be private with probability at most 2^-40; if `lost` random sites drop out, some site is left
    with too few neighbours with probability at most 2^-correctness_bits.

    Raises:
        ParameterError: only the complete graph is safe.
    """
    if corrupt + (2 if malicious else 1) * lost <= _INFEASIBLE * sites:
        for degree in range(2, sites - 1, 2):
            threshold = least_threshold(sites, degree, corrupt=corrupt, lost=lost, malicious=malicious)
            if threshold is not None and _below(threshold, sites, sites - lost, degree) <= _share(
                correctness_bits, sites
            ):
                return Parameters(degree, threshold)
    raise ParameterError(f"no sparse graph over {sites} sites tolerates {corrupt} corrupt and {lost} lost sites")


def least_threshold(sites: int, degree: int, *, corrupt: int, lost: int, malicious: bool) -> int | None:
    """Return the least threshold that keeps every site's vector private on a random graph, or None if there is none.

    Two events may break it, each with half of 2^-40: the remaining honest sites are not connected, or some site has
    more than c corrupt neighbours. Otherwise t > c keeps a site's secrets closed; 2t > k + c also prevents a malicious
    coordinator from having both secrets opened by two parts of the site's neighbours, as on the complete graph.
    """
    if _log_disconnected(sites, degree, corrupt + lost) >= -(SECURITY_BITS + 1) * log(2):
        return None
    most = _most_corrupt(sites, corrupt, degree, _share(SECURITY_BITS + 1, sites))
    threshold = max(2, (degree + most) // 2 + 1 if malicious else most + 1)
    return threshold if threshold <= degree else None


def is_private(sites: int, graph: Parameters, *, corrupt: int, lost: int, malicious: bool) -> bool:
    """Return whether a graph over this many sites is sparse, and tolerates this many corrupt and lost sites."""
    if graph.degree % 2 or not 0 < graph.degree < sites - 1:
        return False
    least = least_threshold(sites, graph.degree, corrupt=corrupt, lost=lost, malicious=malicious)
    return least is not None and least <= graph.threshold <= graph.degree


def _share(bits: int, sites: int) -> float:
    """Return the share of each site in a union bound of 2^-bits."""
    return 2.0**-bits / sites


def _log_disconnected(sites: int, degree: int, bad: int) -> float:
    """Return the logarithm of a bound on the probability that removing `bad` random sites disconnects the rest.

    In a Harary graph over a random order, the removed sites must fill two gaps of degree / 2 in the ring; there are
    n (n - k - 1) / 2 pairs of positions. Uniform regular graphs have fewer such cuts.
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
    """Return the probability that fewer than `threshold` of a site's neighbours are among those left."""
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
    """The neighbours that a party needs to know: all for the coordinator; for a site, its own and theirs.

    For the complete graph nothing is listed. Before a sparse one is drawn, the listed sites have no neighbours.
    """

    neighbours: Annotated[Mapping[int, tuple[int, ...]], Map(U16, Ascending(U16, MAX_SITES), MAX_SITES)]

    def ends(self, site: int, sites: Iterable[int]) -> Iterable[int]:
        """Return the other ends of a site's edges (on the complete graph, `sites`); its vault has a seed for each."""
        return self.neighbours[site] if self.neighbours else sites

    def holders(self, dealer: int, listed: Collection[int]) -> list[int]:
        """Return the sites of `listed`, ascending, that hold a dealer's shares and whose shares the dealer holds.

        On the complete graph a dealer holds a share of its own secret. On a sparse graph, it would be one holder too
        many: told that it survived, it would reveal its seed share while its neighbours were told the opposite.
        """
        return [site for site in self.neighbours[dealer] if site in listed] if self.neighbours else sorted(listed)

    def seen_by(self, site: int, listed: Collection[int]) -> list[int]:
        """Return the sites of `listed`, ascending, whose frames a site is shown: its neighbours and itself."""
        if not self.neighbours:
            return sorted(listed)
        return [other for other in sorted((*self.neighbours[site], site)) if other in listed]


COMPLETE = Graph(neighbours={})


# The graph ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)  # a pure function of public values: drawn once for several parties in a process
def draw(seed: bytes, sites: tuple[int, ...], degree: int) -> Mapping[int, tuple[int, ...]]:
    """Return each site's neighbours, ascending, in a random regular graph; determined by the seed.

    Args:
        seed: 32 bytes that no party chose.
        sites: indices, ascending.
        degree: even number from 2 to one less than the number of sites.
    """
    n = len(sites)
    if not 0 < degree < n or degree % 2:
        raise ParameterError(f"the degree must be even and less than the number of sites ({n}), got {degree}")
    sparse = 2 * degree < n  # otherwise draw the non-neighbours, which are fewer and so found faster
    low, high = _edges(seed, n, degree if sparse else n - 1 - degree)
    ends, others = np.append(low, high), np.append(high, low)
    rows = others[np.lexsort((others, ends))].reshape(n, -1).tolist()
    if not sparse:
        rows = [sorted(set(range(n)) - {i, *strangers}) for i, strangers in enumerate(rows)]
    return {site: tuple(sites[i] for i in row) for site, row in zip(sites, rows, strict=True)}


def _edges(seed: bytes, n: int, degree: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lower and higher end of each edge of a random regular graph over 0 .. n - 1.

    Steger and Wormald 1999, in passes: every vertex has `degree` stubs. Each pass sorts the stubs by 64-bit numbers
    from the seed's AES-256-CTR keystream and joins neighbours in pairs; stubs in loops and repeated edges go to the
    next pass. A pass that adds no edge starts over.
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
