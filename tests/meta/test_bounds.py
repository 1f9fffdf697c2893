"""The bounds in the specification follow from its inequalities and agree with the published numbers."""

import pytest

from secagg.params import Profile, default_threshold
from specs import bounds


@pytest.mark.parametrize("n", range(3, 61))
def test_the_collusion_bound_is_2t_minus_n_minus_1(n):
    for t in range(n // 2 + 1, n + 1):
        most = bounds.most_colluders(n, t, Profile.MALICIOUS)
        assert most == min(2 * t - n - 1, n - 2)
        assert 2 * t > n + most


@pytest.mark.parametrize("n", range(3, 61))
def test_who_follows_the_protocol_may_pool_the_shares_of_one_less_than_the_threshold(n):
    t = default_threshold(n, Profile.SEMI_HONEST)
    assert bounds.most_colluders(n, t, Profile.SEMI_HONEST) == min(t - 1, n - 2)


def test_every_row_bears_what_the_threat_model_says():
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in bounds.complete().splitlines()[2:]]
    assert len(cells) == 2 * len(bounds.SITES)
    for profile, *numbers in cells:
        n, t, colluders, most, a, before, in_all, honest = map(int, numbers)
        assert (a >= max(t, 3), before, in_all) == (True, n - a, n - t)
        assert colluders <= most
        assert honest == a - colluders >= 2
        assert profile == "semi-honest" or 2 * t > n + colluders


def test_sparse_graphs_fail_with_2_to_minus_40_at_most():
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in bounds.sparse().splitlines()[2:]]
    assert len(cells) == 2 * len(bounds.SPARSE_SITES)
    for profile, *numbers, of_a_group in cells:
        _, k, t, _, _, c = map(int, numbers[:6])
        chances = [0.0 if text == "0" else 2.0 ** int(text[2:]) for text in numbers[6:8]]
        assert sum(chances) <= 2.0**-40
        assert 2 * t > k + c if profile == "malicious" else t > c
        assert of_a_group == (str(t - c + 1) if profile == "malicious" else "-")
