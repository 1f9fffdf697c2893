"""Degrees and thresholds are the published ones; graphs are regular, reproducible, and random in what matters."""

from collections import Counter
from fractions import Fraction
from hashlib import sha256
from itertools import combinations
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.graph import COMPLETE, Graph, Parameters, _mass, draw, find, is_private, least_threshold

# The rows of graph_parameter_finder_test.cc of federated-compute (Google, Apache 2.0), security 2^-40, correctness
# 2^-20: corrupt rate, drop-out rate, adversary, then sites: degree, threshold. Left out are rows that take longest, and
# those of no adversary, which repeat the ones of no corrupt site.
PUBLISHED = """
    0.45 0.45 semi-honest  100: 92, 46  1000: 822, 417
    0.33 0.33 semi-honest  10: 8, 4  100: 68, 34  1000: 286, 150  10000: 422, 221  100000: 480, 251  1000000: 518, 270
    0.3  0.3  malicious    100: 92, 62  1000: 872, 584
    0.05 0.33 semi-honest  100: 28, 6  1000: 72, 24  10000: 86, 29  100000: 96, 32  1000000: 102, 34
    0.05 0.33 malicious    10: 8, 5  100: 72, 39  1000: 398, 223  10000: 746, 420  100000: 882, 496
    0.33 0.05 semi-honest  10: 4, 4  100: 34, 29  1000: 78, 60  10000: 92, 70  100000: 102, 77  1000000: 110, 83
    0.33 0.05 malicious    10: 4, 4  100: 42, 37  1000: 132, 109  10000: 178, 146  100000: 196, 160  1000000: 212, 173
    0.05 0.05 semi-honest  10: 2, 2  100: 12, 6  1000: 30, 17  10000: 34, 20  100000: 36, 21  1000000: 38, 22
    0.05 0.05 malicious    10: 2, 2  100: 16, 11  1000: 52, 37  10000: 62, 44  100000: 68, 48  1000000: 74, 52
    0.33 0    semi-honest  10: 4, 4  100: 26, 25  1000: 38, 36  10000: 42, 40  100000: 46, 44  1000000: 50, 47
    0.33 0    malicious    10: 4, 4  100: 26, 26  1000: 38, 37  10000: 42, 41  100000: 46, 45  1000000: 50, 49
    0    0.33 semi-honest  100: 26, 2  1000: 38, 2  10000: 42, 2  100000: 46, 2  1000000: 50, 2
    0    0.33 malicious    10: 8, 5  100: 68, 35  1000: 228, 115  10000: 326, 164  100000: 372, 187
    0    0    semi-honest  10: 2, 2  100: 2, 2  1000: 2, 2  10000: 2, 2  100000: 2, 2  1000000: 2, 2
    0    0    malicious    10: 2, 2  100: 2, 2  1000: 2, 2  10000: 2, 2  100000: 2, 2  1000000: 2, 2
"""


def rows(table: str):
    for line in filter(str.strip, table.splitlines()):
        corrupt, lost, adversary, cells = line.split(maxsplit=3)
        for cell in cells.split("  "):
            sites, found = cell.split(": ")
            degree, threshold = found.split(", ")
            yield Fraction(corrupt), Fraction(lost), adversary == "malicious", int(sites), int(degree), int(threshold)


@pytest.mark.parametrize(("corrupt", "lost", "malicious", "sites", "degree", "threshold"), tuple(rows(PUBLISHED)))
def test_the_published_table(corrupt, lost, malicious, sites, degree, threshold):
    found = find(sites, corrupt=int(corrupt * sites), lost=int(lost * sites), malicious=malicious, correctness_bits=20)
    assert found == (degree, threshold)


@pytest.mark.parametrize("corrupt", [0, 0.05])
def test_where_the_published_threshold_may_not_be_reached(corrupt):
    """Two published rows say 4, 2 for ten sites: they hold a threshold of 1 against the losses, then raise it to 2."""
    assert find(10, corrupt=int(10 * corrupt), lost=3, malicious=False, correctness_bits=20) == (6, 2)
    assert comb(7, 1) * comb(3, 3) / comb(10, 4) > 2**-20  # one of four neighbours is left


SPECIFIED = """
    5  semi-honest  100: 12, 6  200: 22, 11  1000: 36, 19  10000: 42, 22
    5  malicious    100: 16, 11  200: 32, 22  1000: 68, 46  10000: 86, 58
    20 semi-honest  100: 42, 21  200: 72, 37  1000: 124, 63  10000: 152, 77
    20 malicious    100: 62, 42  200: 122, 82  1000: 374, 250  10000: 650, 434
"""


@pytest.mark.parametrize(
    ("percent", "adversary", "cells"), [line.split(maxsplit=2) for line in SPECIFIED.strip().splitlines()]
)
def test_both_bounds_at_40_bits(percent, adversary, cells):
    for cell in cells.split("  "):
        sites, found = int(cell.split(": ")[0]), tuple(map(int, cell.split(": ")[1].split(", ")))
        bad = sites * int(percent) // 100
        assert find(sites, corrupt=bad, lost=bad, malicious=adversary == "malicious") == found


@pytest.mark.parametrize(
    ("sites", "corrupt", "lost", "malicious"),
    [(1000, 500, 500, False), (1000, 500, 500, True), (1000, 330, 330, True), (4, 1, 1, True), (3, 0, 0, True)],
)
def test_what_no_sparse_graph_bears(sites, corrupt, lost, malicious):
    with pytest.raises(ParameterError, match="no sparse graph"):
        find(sites, corrupt=corrupt, lost=lost, malicious=malicious)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_thresholds_against_exact_fractions(data):
    """No rounding: the number of corrupt neighbours exceeds c with at most 2^-41 / n, and c - 1 with more."""
    sites = data.draw(st.integers(4, 300))
    degree = data.draw(st.integers(1, (sites - 2) // 2)) * 2
    corrupt = data.draw(st.integers(0, sites - degree))
    threshold = least_threshold(sites, degree, corrupt=corrupt, lost=0, malicious=False)

    def beyond(count: int) -> Fraction:
        ways = sum(comb(corrupt, x) * comb(sites - corrupt, degree - x) for x in range(count + 1, degree + 1))
        return Fraction(ways, comb(sites, degree))

    if threshold is None:
        gaps = Fraction(sites * (sites - degree - 1), 2) * Fraction(comb(corrupt, degree), comb(sites, degree))
        assert gaps >= Fraction(1, 2**41) * Fraction(999, 1000) or beyond(degree - 1) > Fraction(1, sites * 2**41)
    else:
        assert beyond(threshold - 1) <= Fraction(1, sites * 2**41)
        assert threshold == 2 or beyond(threshold - 2) > Fraction(1, sites * 2**41)


# Graphs ------------------------------------------------------------------------------------------------------------


def seed(number: int) -> bytes:
    return sha256(b"graph %d" % number).digest()


@settings(deadline=None, max_examples=100)
@given(st.integers(3, 80), st.data())
def test_every_graph_is_regular_and_symmetric(count, data):
    degree = 2 * data.draw(st.integers(1, (count - 1) // 2))
    sites = tuple(sorted(data.draw(st.sets(st.integers(1, 65_534), min_size=count, max_size=count))))
    graph = draw(data.draw(st.binary(min_size=32, max_size=32)), sites, degree)
    assert tuple(graph) == sites
    for site, neighbours in graph.items():
        assert len(neighbours) == degree
        assert list(neighbours) == sorted(set(neighbours))
        assert site not in neighbours
        assert all(site in graph[other] for other in neighbours)


def test_a_graph_is_a_function_of_its_seed():
    sites = tuple(range(1, 51))
    draw.cache_clear()
    one, other = draw(seed(1), sites, 8), draw(seed(2), sites, 8)
    draw.cache_clear()
    assert draw(seed(1), sites, 8) == one != other


def test_every_edge_is_equally_likely():
    """Chi-square over the edges of 3,000 graphs over ten vertices: 44 degrees of freedom, P[more than 94] < 2e-5."""
    for degree in (2, 4, 6):
        sites = tuple(range(10))
        found = Counter(
            (low, high)
            for number in range(1000)
            for low, others in draw(seed(number), sites, degree).items()
            for high in others
            if low < high
        )
        expected = 1000 * degree / 9
        assert sum((found[edge] - expected) ** 2 / expected for edge in combinations(sites, 2)) < 94


@pytest.mark.parametrize("degree", [-2, 0, 1, 3, 10, 12])
def test_degrees_that_no_graph_has(degree):
    with pytest.raises(ParameterError, match="degree"):
        draw(seed(1), tuple(range(10)), degree)


# Neighbourhoods ----------------------------------------------------------------------------------------------------


def test_on_the_complete_graph_everybody_sees_and_holds_everything():
    for listed in ({3, 1, 2}, {1: "", 2: "", 3: ""}, (1, 2, 3)):
        assert COMPLETE.seen_by(2, listed) == COMPLETE.holders(2, listed) == [1, 2, 3]
    assert list(COMPLETE.ends(2, range(1, 4))) == [1, 2, 3]


def test_on_a_sparse_graph_neighbours_see_and_hold():
    """Nobody holds a share of its own; a vault has a place for neighbours that are gone."""
    graph = Graph(neighbours={2: (1, 4, 5), 4: (2, 5, 6)})
    assert graph.holders(2, {1, 2, 3, 5}) == [1, 5]
    assert graph.seen_by(2, {1, 2, 3, 5}) == [1, 2, 5]
    assert graph.seen_by(2, {1, 3, 5}) == [1, 5]
    assert list(graph.ends(2, range(1, 7))) == [1, 4, 5]


def test_before_a_graph_is_drawn_a_site_sees_itself():
    assert Graph(neighbours={2: ()}).seen_by(2, {1, 2, 3}) == [2]


def test_a_graph_of_whom_some_did_not_join_bears_less():
    """Of 1,000 sites 200 may be corrupt and 200 lost; without 20 of those the corrupt ones are denser than that."""
    found = Parameters(374, 250)
    assert is_private(1000, found, corrupt=200, lost=200, malicious=True)
    assert not is_private(980, found, corrupt=200, lost=180, malicious=True)
    assert is_private(980, Parameters(374, 251), corrupt=200, lost=180, malicious=True)


@pytest.mark.parametrize("graph", [(5, 5), (0, 2), (8, 7), (10, 7), (6, 4), (6, 7)])
def test_no_sparse_graph_that_is_private(graph):
    assert is_private(9, Parameters(6, 5), corrupt=2, lost=3, malicious=True)
    assert not is_private(9, Parameters(*graph), corrupt=2, lost=3, malicious=True)


@pytest.mark.parametrize(("sites", "marked", "drawn"), [(10, 3, 4), (10, 8, 5), (7, 7, 3), (7, 0, 3)])
def test_the_chances_of_all_counts_are_one(sites, marked, drawn):
    chances = [_mass(count, sites, marked, drawn) for count in range(-1, sites + 2)]
    exact = [comb(marked, x) * comb(sites - marked, drawn - x) / comb(sites, drawn) for x in range(drawn + 1)]
    assert chances[1 : drawn + 2] == pytest.approx(exact)
    assert sum(chances) == pytest.approx(1)
    assert chances[0] == chances[-1] == 0
