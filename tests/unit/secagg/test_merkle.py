"""Merkle trees against RFC 6962 section 2.1, which splits at the largest power of two."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import merkle

COUNTS = [*range(1, 20), 31, 32, 33, 64, 65, 100]


def rfc6962(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + rfc6962(leaves[:split]) + rfc6962(leaves[split:])).digest()


def leaves_of(count: int) -> list[bytes]:
    return [b"leaf %d" % i for i in range(count)]


@pytest.mark.parametrize("count", [0, *COUNTS])
def test_root_is_that_of_rfc_6962(count):
    leaves = leaves_of(count)
    assert merkle.root(leaves) == merkle.Tree(leaves).root == rfc6962(leaves)


@pytest.mark.parametrize("count", COUNTS)
def test_every_path_leads_to_the_root(count):
    leaves = leaves_of(count)
    tree = merkle.Tree(leaves)
    for position, leaf in enumerate(leaves):
        assert merkle.root_from_path(leaf, position, count, tree.paths()[position]) == tree.root


@pytest.mark.parametrize("count", COUNTS)
def test_no_path_leads_another_leaf_or_position_to_the_root(count):
    leaves = leaves_of(count)
    tree = merkle.Tree(leaves)
    for position in range(count):
        path = tree.paths()[position]
        assert merkle.root_from_path(b"other", position, count, path) != tree.root
        for other in set(range(count)) - {position}:
            assert merkle.root_from_path(leaves[position], other, count, path) != tree.root


@pytest.mark.parametrize("count", COUNTS)
def test_a_path_has_one_length(count):
    tree = merkle.Tree(leaves_of(count))
    for position in range(count):
        path = tree.paths()[position]
        assert merkle.root_from_path(b"leaf", position, count, (*path, bytes(32))) is None
        if path:
            assert merkle.root_from_path(b"leaf", position, count, path[:-1]) is None


@pytest.mark.parametrize(("position", "count"), [(-1, 3), (3, 3), (0, 0), (7, 4)])
def test_a_position_lies_in_the_tree(position, count):
    assert merkle.root_from_path(b"leaf", position, count, ()) is None


def test_an_inner_node_is_no_leaf():
    """Second preimages: the two kinds of nodes are hashed apart."""
    left, right = (sha256(b"\0" + leaf).digest() for leaf in (b"a", b"b"))
    assert merkle.root([left + right]) != merkle.root([b"a", b"b"])


# Some leaves at once -----------------------------------------------------------------------------------------------

some_leaves = st.integers(1, 70).flatmap(
    lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1), min_size=1))
)


@given(some_leaves)
def test_siblings_lead_some_leaves_to_the_root(drawn):
    count, positions = drawn
    leaves, tree = leaves_of(count), merkle.Tree(leaves_of(count))
    siblings = tree.siblings(positions)
    shown = {i: leaves[i] for i in positions}
    assert merkle.root_from_leaves(shown, count, siblings) == tree.root
    assert merkle.root_from_leaves({**shown, min(shown): b"other"}, count, siblings) != tree.root
    assert merkle.root_from_leaves(shown, count, (*siblings, bytes(32))) is None
    if siblings:
        assert merkle.root_from_leaves(shown, count, siblings[:-1]) is None
        assert merkle.root_from_leaves(shown, count, (bytes(32), *siblings[1:])) != tree.root


@given(st.integers(1, 70))
def test_siblings_of_one_leaf_are_its_path_and_of_all_none(count):
    tree = merkle.Tree(leaves_of(count))
    assert all(tree.siblings({i}) == tree.paths()[i] for i in range(count))
    assert tree.siblings(range(count)) == ()


@pytest.mark.parametrize(("positions", "count"), [((), 3), ((-1,), 3), ((3,), 3), ((0, 3), 3), ((0,), 0)])
def test_leaves_that_no_tree_has(positions, count):
    assert merkle.root_from_leaves(dict.fromkeys(positions, b"leaf"), count, ()) is None


@pytest.mark.parametrize("count", range(10))
def test_the_hashes_of_the_leaves_have_the_root_of_the_leaves(count):
    leaves = leaves_of(count)
    assert merkle.root_of_hashes(merkle.leaf_hash(leaf) for leaf in leaves) == merkle.root(leaves)
