"""The generic cell rate algorithm, compared with a token bucket filled step by step."""

from hypothesis import given
from hypothesis import strategies as st

from relay.server.limits.rates import Rates


def test_a_burst_and_then_the_rate():
    rates = Rates(per_s=2, burst=4)
    assert [rates.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 0]
    assert rates.take("a", 100.0) == 0.5
    assert rates.take("a", 100.5) == 0
    assert 0.3 < rates.take("a", 100.6) < 0.5
    assert rates.take("b", 100.6) == 0  # another party's own


@given(
    gaps=st.lists(st.integers(0, 40), max_size=80),
    per_s=st.sampled_from([1, 2, 5, 10]),
    burst=st.integers(1, 8),
)
def test_as_a_bucket(gaps, per_s, burst):
    """In twentieths of a second and drops of as many parts, so that the oracle's numbers are whole."""
    rates = Rates(per_s=per_s, burst=burst)
    filled, now = 20 * burst, 0
    for gap in gaps:
        now += gap
        filled = min(20 * burst, filled + gap * per_s)
        wait_s = rates.take("a", now / 20)
        if filled >= 20:
            filled -= 20
            assert wait_s == 0
        else:
            assert abs(wait_s - (20 - filled) / per_s / 20) < 1e-9


def test_who_did_not_come_for_a_while_is_forgotten():
    rates = Rates(per_s=100, burst=10)
    for party in range(10_000):
        rates.take(party, party / 100)
    assert len(rates._due) < 2000
