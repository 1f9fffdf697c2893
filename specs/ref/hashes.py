"""Labelled hashes, Merkle trees, hash chains.

Spec: 01-wire §2, §4.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence


class Refused(Exception):  # noqa: N818 - a verdict, named as in the specification
    """What arrived violates the rule with this ID (03-checks)."""


def check(holds: object, rule: str) -> None:
    if not holds:
        raise Refused(rule)


def u8(x: int) -> bytes:
    return x.to_bytes(1, "big")


def u16(x: int) -> bytes:
    return x.to_bytes(2, "big")


def u32(x: int) -> bytes:
    return x.to_bytes(4, "big")


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def tag(label: str) -> bytes:
    return b"secagg/1 " + label.encode("ascii") + b"\0"


def LP(*fields: bytes) -> bytes:  # noqa: N802 - the specification's names
    return b"".join(u32(len(field)) + field for field in fields)


def H(label: str, *fields: bytes) -> bytes:  # noqa: N802
    return sha256(tag(label) + LP(*fields))


def chain(head: bytes, entry: bytes) -> bytes:
    return H("chain", head, entry)


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All levels of the tree, the leaves' hashes first."""
    levels = [[sha256(b"\0" + leaf) for leaf in leaves]]
    while len(below := levels[-1]) > 1:
        pairs = [below[i : i + 2] for i in range(0, len(below), 2)]
        levels.append([sha256(b"\1" + pair[0] + pair[1]) if len(pair) == 2 else pair[0] for pair in pairs])
    return levels


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    return _levels(leaves)[-1][0] if leaves else sha256(b"")


def merkle_path(leaves: Sequence[bytes], position: int) -> list[bytes]:
    path = []
    for level in _levels(leaves)[:-1]:
        if (sibling := position ^ 1) < len(level):  # the last node of an odd level has none
            path.append(level[sibling])
        position //= 2
    return path


def merkle_siblings(leaves: Sequence[bytes], positions: Collection[int]) -> list[bytes]:
    """The nodes beside those of some leaves, from the leaves' level up, left to right."""
    beside, known = [], set(positions)
    for level in _levels(leaves)[:-1]:
        beside += [node for i, node in enumerate(level) if i not in known and i ^ 1 in known]
        known = {i // 2 for i in known}
    return beside


def root_of_leaves(leaves: Mapping[int, bytes], count: int, siblings: Sequence[bytes], rule: str) -> bytes:
    """The root reached from some leaves, by position."""
    check(leaves, rule)
    level = [sha256(b"\0" + leaves[i]) if i in leaves else b"" for i in range(count)]
    rest = list(siblings)
    while len(level) > 1:
        above = []
        for i in range(0, len(level), 2):
            pair = level[i : i + 2]
            if any(pair) and not all(pair):
                check(rest, rule)
                pair[pair.index(b"")] = rest.pop(0)
            above.append(sha256(b"\1" + b"".join(pair)) if len(pair) == 2 and all(pair) else pair[0])
        level = above
    check(not rest, rule)
    return level[0]


def root_of_path(leaf: bytes, position: int, count: int, path: Sequence[bytes], rule: str) -> bytes:
    node, siblings = sha256(b"\0" + leaf), list(path)
    while count > 1:
        if position ^ 1 < count:
            check(siblings, rule)
            sibling = siblings.pop(0)
            node = sha256(b"\1" + (sibling + node if position % 2 else node + sibling))
        position, count = position // 2, (count + 1) // 2
    check(not siblings, rule)
    return node
