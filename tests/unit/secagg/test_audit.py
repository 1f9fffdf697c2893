"""Hash chains: any deleted, edited, added or moved entry is detected."""

import pytest

from secagg.audit import GENESIS, BrokenChainError, link, verify_chain

ENTRIES = [b"first", b"second", b"", b"fourth"]


def chain(entries: list[bytes]) -> list[tuple[bytes, bytes]]:
    head, pairs = GENESIS, []
    for entry in entries:
        head = link(head, entry)
        pairs.append((entry, head))
    return pairs


def broken_at(pairs: list[tuple[bytes, bytes]], head: bytes | None = None) -> int:
    with pytest.raises(BrokenChainError) as caught:
        verify_chain(pairs, head)
    return caught.value.position


def test_a_whole_chain():
    pairs = chain(ENTRIES)
    assert verify_chain(pairs) == verify_chain(pairs, pairs[-1][1]) == pairs[-1][1]
    assert verify_chain([]) == verify_chain([], GENESIS) == GENESIS


@pytest.mark.parametrize("position", range(4))
def test_an_edited_entry(position):
    pairs = chain(ENTRIES)
    pairs[position] = (b"edited", pairs[position][1])
    assert broken_at(pairs) == position


@pytest.mark.parametrize("position", range(3))
def test_a_removed_entry(position):
    pairs = chain(ENTRIES)
    del pairs[position]
    assert broken_at(pairs) == position


def test_moved_and_added_entries():
    pairs = chain(ENTRIES)
    assert broken_at([pairs[1], pairs[0], *pairs[2:]]) == 0
    assert broken_at([*pairs[:2], (b"new", bytes(32)), *pairs[2:]]) == 2
    assert broken_at([pairs[0], *pairs]) == 1


def test_a_tail_that_was_cut_shows_to_who_remembers_the_head():
    pairs = chain(ENTRIES)
    assert verify_chain(pairs[:2]) == pairs[1][1]
    assert broken_at(pairs[:2], pairs[-1][1]) == 2
    assert broken_at([], pairs[-1][1]) == 0


def test_entry_and_head_do_not_run_into_each_other():
    assert link(GENESIS, b"ab") != link(GENESIS + b"a", b"b")
