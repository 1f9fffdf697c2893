"""Bodies take no more memory than their budget, and give it back."""

from contextlib import ExitStack

import pytest

from relay.server.core.problem import Problem
from relay.server.limits.body_budget import SHARE, BodyBudget

MOST = 1000


def test_one_site_has_its_share_and_gives_it_back():
    bodies = BodyBudget(MOST)
    share = MOST // SHARE
    with bodies.room(b"a", share):
        with pytest.raises(Problem, match="rate-limited"), bodies.room(b"a", 1):
            pass
        with bodies.room(b"a", 0), bodies.room(b"b", share):
            pass
    with bodies.room(b"a", share):
        pass


def test_all_together_have_a_bound():
    bodies = BodyBudget(MOST)
    with ExitStack() as stack:
        for number in range(SHARE):
            stack.enter_context(bodies.room(bytes([number]), MOST // SHARE))
        with pytest.raises(Problem, match="rate-limited"), bodies.room(b"late", 1):
            pass
    with bodies.room(b"late", 1):
        pass
