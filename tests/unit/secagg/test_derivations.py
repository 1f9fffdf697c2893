"""Every secret, commitment and hash depends on every field, and no two are ever the same."""

from inspect import signature

import pytest

from secagg.protocol import derivations as d

EXAMPLES = {
    "rand": (b"r" * 32, b"s" * 32),
    "name": ("curve", "kappa"),
    "manifest": (b"manifest", b"manifest2"),
    "transcript": (b"t" * 32, b"u" * 32),
    "kind": (1, 0),
    "senders": ((1, 2), (1, 2, 3)),
    "root": (b"r" * 32, b"m" * 32),
    "bound": ((), (b"b" * 32,)),
    "commitments": ([b"c" * 32], [b"c" * 32, b"b" * 32]),
    "nonces": ([b"n" * 32], [b"n" * 32, b"o" * 32]),
    "eh": (b"e" * 32, b"f" * 32),
    "round_": (7, 8),
    "open_body": (b"open", b"opeN"),
    "context": (b"c" * 32, b"d" * 32),
    "site": (3, 4),
    "other": (5, 6),
    "dealer": (3, 4),
    "holder": (5, 6),
    "nonce": (b"n" * 32, b"o" * 32),
    "seed": (b"s" * 32, b"x" * 32),
    "key": (b"k" * 32, b"l" * 32),
    "kappa": (b"k" * 32, b"q" * 32),
    "share": (b"h" * 32, b"i" * 32),
    "vault": (b"v" * 40, b"w" * 40),
    "chain": (b"g" * 32, b"j" * 32),
    "pair_secret": (b"p" * 32, b"y" * 32),
    "secret": (b"z" * 32, b"a" * 32),
    "rounds": (range(7, 9), range(7, 10)),
}
SINGLE = [
    d.draw, d.epoch_hash, d.nonces_hash, d.graph_seed, d.transcript_after, d.context_hash, d.survivors_statement,
    d.nonce_commitment, d.self_commitment, d.vault_commitment, d.mac_commitment, d.edge_commitment, d.share_leaf,
    d.vault_hash, d.channel_confirmation, d.pair_chain, d.pair_seed, d.next_pair_chain, d.self_seed, d.next_self_chain,
    d.channel_chain, d.channel_key, d.next_channel_chain, d.share_key, d.vault_secret, d.vault_key, d.share_bound,
    d.vault_bound, d.vector_bound, d.pair_mask, d.self_mask,
]  # fmt: skip


def call(function, changed: str = ""):
    names = signature(function).parameters
    arguments = {name: EXAMPLES[name][name == changed] for name in names}
    return function(**arguments)


@pytest.mark.parametrize("function", SINGLE, ids=lambda function: function.__name__)
def test_everything_depends_on_every_field(function):
    base = call(function)
    for name in signature(function).parameters:
        assert call(function, name) != base, name


def test_no_two_derivations_agree():
    """Labels hold them apart, even those of the same inputs."""
    values = [call(function) for function in SINGLE]
    values = [value.key if hasattr(value, "key") else value for value in values]
    assert len(set(values)) == len(values)


def test_both_ends_of_an_edge_derive_the_same():
    seed, eh = b"s" * 32, b"e" * 32
    assert d.edge_commitment(eh, 7, 3, 5, seed) == d.edge_commitment(eh, 7, 5, 3, seed)
    place = {"round_": 7, "context": b"c" * 32, "eh": eh}
    low, high = d.pair_mask(seed, 3, 5, **place), d.pair_mask(seed, 5, 3, **place)
    assert low.key == high.key
    assert (low.negate, high.negate) == (False, True)
    assert d.share_key(seed, 3, 5, eh) != d.share_key(seed, 5, 3, eh)


def test_leaves_of_a_row_of_shares():
    eh, shares = b"e" * 32, bytes(range(128))
    leaves = d.share_leaves(eh, 1, 2, range(7, 9), shares)
    expected = [(7, 0), (7, 1), (8, 0), (8, 1)]
    parts = [shares[i : i + 32] for i in range(0, 128, 32)]
    assert list(leaves) == [d.share_leaf(eh, 1, 2, *place, part) for place, part in zip(expected, parts, strict=True)]


def test_a_chain_goes_one_way():
    """Pitfalls 3, 5 and 8: round numbers enter every step, and neither seed nor successor is the chain."""
    eh, chain = b"e" * 32, b"g" * 32
    seen = {chain}
    for round_ in range(1, 5):
        seen |= {d.pair_seed(chain, round_, eh), d.next_pair_chain(chain, round_, eh)}
        chain = d.next_pair_chain(chain, round_, eh)
    assert len(seen) == 1 + 2 * 4
