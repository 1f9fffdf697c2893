"""Merkle trees over lists of byte strings, as in RFC 6962 section 2.1: leaves and nodes are hashed apart.

Spec: 01-wire §2. A signed root stands for many slots, and a recipient checks its own slot with a short path.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256


class Tree:
    """The tree over a list of leaves.

    Attributes:
        root: the 32-byte tree head; of no leaves, the hash of nothing.
    """

    __slots__ = ("_levels", "root")

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels = _levels([sha256(b"\0" + leaf).digest() for leaf in leaves])  # without a call: there are many
        self.root = _top(self._levels)

    def paths(self) -> list[tuple[bytes, ...]]:
        """Return for each leaf its path: the siblings from it up to the root."""
        above: list[tuple[bytes, ...]] = [()]
        for level in reversed(self._levels[:-1]):
            last = len(level) - 1  # which moves up alone where it has no sibling
            above = [above[i >> 1] if i ^ 1 > last else (level[i ^ 1], *above[i >> 1]) for i in range(len(level))]
        return above if self._levels[0] else []

    def siblings(self, positions: Collection[int]) -> tuple[bytes, ...]:
        """Return the nodes that lead to the root beside these leaves, from the leaves' level up, from left to right."""
        needed, known = [], set(positions)
        for level in self._levels[:-1]:
            needed += [level[i ^ 1] for i in sorted(known) if i ^ 1 not in known and i ^ 1 < len(level)]
            known = {i // 2 for i in known}
        return tuple(needed)


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root of the tree over the leaves, none of which is kept."""
    return Tree(leaves).root


def root_of_hashes(hashes: Iterable[bytes]) -> bytes:
    """Return the root of the tree whose leaves have these hashes."""
    return _top(_levels(list(hashes)))


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash under which a leaf stands in its tree."""
    return sha256(b"\0" + leaf).digest()


def root_from_path(leaf: bytes, position: int, count: int, siblings: Sequence[bytes]) -> bytes | None:
    """Return the root that leaf and path lead to, or None where the path has not the length that position asks for."""
    if not 0 <= position < count:
        return None
    node = leaf_hash(leaf)
    remaining = iter(siblings)
    while count > 1:
        if position ^ 1 < count:
            sibling = next(remaining, None)
            if sibling is None:
                return None
            node = _node(sibling, node) if position % 2 else _node(node, sibling)
        position //= 2
        count = (count + 1) // 2
    return node if next(remaining, None) is None else None


def root_from_leaves(leaves: Mapping[int, bytes], count: int, siblings: Sequence[bytes]) -> bytes | None:
    """Return the root that some leaves, by position, lead to with these siblings, or None where they do not fit."""
    if not leaves or not all(0 <= position < count for position in leaves):
        return None
    nodes, remaining = {i: leaf_hash(leaf) for i, leaf in sorted(leaves.items())}, iter(siblings)
    while count > 1:
        for i in tuple(nodes):
            if i ^ 1 < count and i ^ 1 not in nodes and (sibling := next(remaining, None)) is not None:
                nodes[i ^ 1] = sibling
        if any(i ^ 1 < count and i ^ 1 not in nodes for i in nodes):
            return None
        nodes = {
            i // 2: _node(nodes[i], nodes[i + 1]) if i + 1 < count else nodes[i] for i in sorted(nodes) if i % 2 == 0
        }
        count = (count + 1) // 2
    return nodes[0] if next(remaining, None) is None else None


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _levels(hashes: list[bytes]) -> list[list[bytes]]:
    levels = [hashes]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1]))
    return levels


def _top(levels: list[list[bytes]]) -> bytes:
    return levels[-1][0] if levels[0] else sha256(b"").digest()


def _parents(level: list[bytes]) -> list[bytes]:
    pairs = [sha256(b"\1" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    return pairs + level[-1:] if len(level) % 2 else pairs
