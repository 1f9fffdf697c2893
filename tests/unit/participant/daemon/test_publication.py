"""What a site publishes of an opened sum; nothing if its rule fails, as it then fails at every site."""

from uuid import UUID

import numpy as np

from participant.daemon.publication import release_of
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.pooled import published
from participant.statistics.evaluation.registry import CONTINGENCY
from participant.statistics.models.design import Category
from participant.statistics.vocabulary.contingency import ContingencyParams

RUN = UUID(int=1)
QUERY = CONTINGENCY.query(
    ContingencyParams(by=(Category(column="sex", levels=(1, 2)),), row_limit=100),
    dataset="t",
    value_bits=40,
    minimum_persons=5,
).model_copy(update={"pooled": True})


class _Current:
    round = 1


class _Opened:
    """An opened sum of counts, whose step is 1."""

    current = _Current

    def __init__(self, total: np.ndarray) -> None:
        self.reals, self.values = total, np.rint(total).astype(np.int64)


class _Ledger:
    def query(self, run: UUID, round_: int) -> dict:
        assert (run, round_) == (RUN, 1)
        return QUERY.model_dump(mode="json")


def test_what_the_rule_hides_is_hidden_and_the_rest_is_as_it_was_opened() -> None:
    bound = BoundQuery.decode(QUERY.encode())
    total = 3 * evaluate(bound, {"sex": np.array([1.0] * 30 + [2.0])})
    release = release_of(RUN, _Opened(total), _Ledger())
    assert np.array_equal(release.hidden, np.isnan(published(bound, total)))
    assert np.array_equal(release.values, total)


def test_a_sum_on_which_the_rule_fails_is_hidden_whole() -> None:
    assert release_of(RUN, _Opened(np.zeros(2)), _Ledger()).hidden is True
