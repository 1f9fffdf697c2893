"""On a sparse graph the secure sum also equals the plain sum: whole cohorts with drop-outs, bit for bit.

With a clip of 127 and 8 bits per value the step is 1, so that integers are returned exactly.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secagg.errors import NotEnoughParticipantsError, ParameterError
from secagg.simulate import simulate

FEW = settings(deadline=None, database=None, print_blob=True, max_examples=2, suppress_health_check=list(HealthCheck))
PROFILES = ("malicious", "semi-honest")


def rows(n: int) -> np.ndarray:
    return np.arange(3.0 * n).reshape(n, 3) % 251 - 125


def summed(n: int, lost_before_upload=(), lost_before_unmask=(), **options):
    result = simulate(
        rows(n),
        clip=127.0,
        value_bits=8,
        drop_before_upload=lost_before_upload,
        drop_before_unmask=lost_before_unmask,
        **{"neighbours": "auto", **options},
    )
    left = [i for i in range(n) if i not in lost_before_upload]
    assert result.survivors == tuple(left)
    assert result.total.tolist() == rows(n)[left].sum(axis=0).tolist()
    return result


@FEW
@given(st.data())
@pytest.mark.parametrize("profile", PROFILES)
def test_the_secure_sum_is_the_plain_sum(profile, data):
    n = data.draw(st.integers(60, 80))
    lost = data.draw(st.permutations(range(n)))[: n // 20]
    early = data.draw(st.integers(0, len(lost)))
    summed(n, lost[:early], lost[early:], profile=profile)


def test_two_hundred_sites():
    summed(200, range(5), range(195, 200), profile="semi-honest")


def test_neighbours_by_number():
    summed(60, [7], [9], neighbours=20)


def test_more_losses_than_the_graph_bears():
    with pytest.raises(NotEnoughParticipantsError):
        summed(60, range(4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"neighbours": 7},
        {"neighbours": 0},
        {"neighbours": -2},
        {"neighbours": 58 + 1},
        {"neighbours": 60},
        {"neighbours": 2},
        {"neighbours": 30, "threshold": 31},
        {"neighbours": 30, "threshold": 2},
        {"neighbours": "auto", "threshold": 1},
    ],
)
def test_graphs_that_keep_no_secrets(wrong):
    with pytest.raises(ParameterError):
        summed(60, **wrong)


def test_a_cohort_that_is_too_small_for_a_graph():
    with pytest.raises(ParameterError):
        summed(3)
