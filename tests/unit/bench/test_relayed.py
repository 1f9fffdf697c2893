"""The two rounds through a real relay, at a tiny size: both find the same sum, and the row has the usual shape."""

from bench.relayed import measured


async def test_a_secure_and_a_plain_round_through_one_relay(tmp_path):
    facts = (await measured(tmp_path, n=3, d=50)).as_facts()
    assert facts.keys() == {"name", "target", "measured", "met"}
    assert "n = 3, d = 50" in facts["name"]
