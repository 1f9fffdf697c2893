"""Specifications as people write them, and running the analysis that a specification names."""

import tomllib

import pytest

from coordinator.demo.lung import COX, KAPLAN_MEIER, lung_by_institution
from participant.analyses.base.errors import SpecError
from participant.analyses.base.secure_sum import value_bits_for
from participant.analyses.catalogue import parse_spec
from participant.analyses.survival.cox import CoxResult
from participant.analyses.survival.kaplan_meier import KaplanMeierResult
from secagg.errors import HeadroomError
from secagg.he.parameters import SUMS
from secagg.params import MAX_HOMOMORPHIC_SITES, ring_bits_for
from tests.support.plain_sum import PlainSum

COX_TOML = """
analysis = "cox"
dataset = "lung"
time = "time"
event = "status"
grid = { width = 7, count = 150 }
row_limit = 1000
minimum_persons = 1

[[covariates]]
column = "age"
low = 18
high = 100

[[covariates]]
column = "sex"
low = 1
high = 2

[[covariates]]
column = "ph.ecog"
low = 0
high = 4

[[covariates]]
column = "wt.loss"
low = -50
high = 100
"""
CURVE_TOML = """
analysis = "kaplan-meier"
dataset = "lung"
time = "time"
event = "status"
grid = { width = 7, count = 150 }
row_limit = 1000
minimum_persons = 1
complete = ["age", "sex", "ph.ecog", "wt.loss"]
"""


def test_specifications_are_read_from_toml() -> None:
    assert parse_spec(tomllib.loads(COX_TOML)) == COX
    assert parse_spec(tomllib.loads(CURVE_TOML)) == KAPLAN_MEIER


async def test_the_named_analysis_runs() -> None:
    sites = PlainSum(lung_by_institution())
    assert isinstance(await parse_spec(tomllib.loads(COX_TOML)).analyse(sites), CoxResult)
    assert isinstance(await parse_spec(tomllib.loads(CURVE_TOML)).analyse(sites), KaplanMeierResult)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ('analysis = "cocks"', "'cocks' is unknown; use one of .*cox, .*kaplan-meier"),
        ("value_bits = 5", "value_bits"),
        ("row_limit = 0", "row_limit"),
        ('row_limit = "1000"', "row_limit must be a whole number"),
        ("grid = { width = inf, count = 3 }", "grid.width must be a finite number"),
        ("grid = { width = nan, count = 3 }", "grid.width must be a finite number"),
        ("covariates = []", "covariates"),
        ('time = "the time"', "time"),
        ("since = 2024-01-01", "not JSON serializable"),
        ("typo = 1", "typo is unknown"),
        ('missing = "impute"', "missing"),
        ("filter = [{ column = 'age', op = '~', value = 1 }]", "filter.0.comparison.op"),
    ],
)
def test_a_wrong_specification_says_where(change: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        parse_spec(tomllib.loads(COX_TOML) | tomllib.loads(change))


def test_no_analysis_is_named() -> None:
    with pytest.raises(SpecError, match="analysis"):
        parse_spec({})


@pytest.mark.parametrize("sites", [3, 8, 255, MAX_HOMOMORPHIC_SITES])
def test_value_bits_of_a_homomorphic_sum_fill_a_slot(sites: int) -> None:
    room = SUMS.plain_modulus.bit_length() - 1
    bits = value_bits_for(sites, room)
    assert ring_bits_for(2 ** (bits - 1), sites) == room


@pytest.mark.parametrize("sites", [1, 2, 3, 7, 8, 9, 15, 16, 17, 100, 1000, 65_534])
def test_value_bits_fill_the_ring(sites: int) -> None:
    bits = value_bits_for(sites)
    assert ring_bits_for(2 ** (bits - 1), sites) <= 64
    if bits < 60:
        with pytest.raises(HeadroomError):
            ring_bits_for(2**bits, sites)
