"""Numeric factors that are step functions, such as ranks on a grid."""

import numpy as np
import pytest

from participant.statistics.models.design import Numeric, Steps

STEPS = Steps(origin=0, width=2, values=(-1, -1, 0.5, 3))


def test_steps_are_those_of_a_histogram_with_the_same_edges() -> None:
    factor = Numeric(column="x", low=-5, high=20, function=STEPS)
    x = np.array([-9, -5, 0, 0.1, 2, 2.1, 4, 4.1, 20, 99])
    coded = factor.coded({"x": x})
    assert coded.z[0].tolist() == [-1, -1, -1, -1, -1, 0.5, 0.5, 3, 3, 3]
    assert coded.outside["x"].tolist() == [True, *[False] * 8, True]
    assert (factor.bounds, factor.names) == ((-1, 3), ("steps(x)",))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"values": (1, 0)}, "must ascend"), ({"values": (1,)}, "at least 2"), ({"width": 0}, "greater than 0")],
)
def test_refused_steps(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Steps.model_validate(STEPS.model_dump() | changes)
