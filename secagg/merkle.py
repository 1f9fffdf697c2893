"""Merkle trees over lists of byte strings, as in RFC 6962 section 2.1: leaves and nodes are hashed differently.

Spec: 01-wire §2. One signed root covers many slots, and a recipient checks its own slot with a short path.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256


class Tree:
    """The tree over a list of leaves.

    Attributes:
        root: the 32-byte tree head; without leaves, the hash of the empty string.
    """

    __slots__ = ("_levels", "root")

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels = _levels([sha256(b"\0" + leaf).digest() for leaf in leaves])  # inlined, as there are many
        self.root = _top(self._levels)

    def paths(self) -> list[tuple[bytes, ...]]:
        """Return each leaf's path: the siblings from the leaf up to the root."""
        above: list[tuple[bytes, ...]] = [()]
        for level in reversed(self._levels[:-1]):
            last = len(level) - 1  # moves up unchanged if it has no sibling
            above = [above[i >> 1] if i ^ 1 > last else (level[i ^ 1], *above[i >> 1]) for i in range(len(level))]
        return above if self._levels[0] else []

    def siblings(self, positions: Collection[int]) -> tuple[bytes, ...]:
        """Return the nodes that lead from these leaves to the root, level by level from the leaves, left to right."""
        needed, known = [], set(positions)
        for level in self._levels[:-1]:
            needed += [level[i ^ 1] for i in sorted(known) if i ^ 1 not in known and i ^ 1 < len(level)]
            known = {i // 2 for i in known}
        return tuple(needed)


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root of the tree over the leaves without storing them."""
    return Tree(leaves).root


def root_of_hashes(hashes: Iterable[bytes]) -> bytes:
    """Return the root of the tree whose leaves have these hashes."""
    return _top(_levels(list(hashes)))


def leaf_hash(leaf: bytes) -> bytes:
    """Return a leaf's hash in its tree."""
    return sha256(b"\0" + leaf).digest()


def root_from_path(leaf: bytes, position: int, count: int, siblings: Sequence[bytes]) -> bytes | None:
    """Return the root reached from a leaf by its path, or None if the path's length does not match the position."""
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
    """Return the root reached from some leaves, by position, with these siblings, or None if they do not match."""
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
