"""Every analysis equals its oracle on the smallest of its data sets, over nine sites of which one is lost.

`make oracles` tries all data sets and settings.
"""

from itertools import groupby

import pytest

from participant.analyses.catalogue import ANALYSES
from tests.oracles.case import COEFFICIENT, P_VALUE, Case, all_cases, coefficients, p_values
from tests.oracles.data import TABLES
from tests.support.trials import rows

SMALLEST = [
    min(cases, key=lambda one: rows(TABLES[one.spec.dataset]()))
    for _, cases in groupby(sorted(all_cases(), key=lambda one: one.name), lambda one: one.name)
]


@pytest.mark.parametrize("one", SMALLEST, ids=lambda one: one.id)
async def test_equals_its_oracle(one: Case) -> None:
    for agreement in await one.run(9, dropped=1):
        assert agreement.difference <= agreement.bound, agreement
        assert agreement.bound in {COEFFICIENT, P_VALUE} or agreement.reason, agreement


def test_every_analysis_has_cases_on_two_data_sets() -> None:
    data = {name: {one.spec.dataset for one in all_cases() if one.spec.analysis == name} for name in ANALYSES}
    assert {name for name, sets in data.items() if len(sets) < 2} == set()


def test_the_bounds_of_deterministic_estimators() -> None:
    assert coefficients([1.0], [1.0]).bound == 1e-6
    assert p_values([0.5], [0.5]).bound == 1e-5


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 0.0], [1.0, 0.0], 0.0),
        ([1.0, 2.2], [1.0, 2.0], 0.1),
        ([float("nan"), 1.0], [float("nan"), 1.0], 0.0),
        ([float("nan")], [1.0], float("inf")),
        ([float("inf")], [float("-inf")], float("inf")),
        ([1e-9], [0.0], float("inf")),
        ([1.0], [1.0, 1.0], float("inf")),
        ([], [], float("inf")),
    ],
)
def test_differences_are_relative_to_each_estimate(ours: list, theirs: list, difference: float) -> None:
    assert coefficients(ours, theirs).difference == pytest.approx(difference)
