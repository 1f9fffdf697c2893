"""Quantiles, histograms and the description of a cohort: cells hidden by a floor, odd tables, lost sites."""

import numpy as np
import pytest

from coordinator.demo.lung import lung_by_institution
from coordinator.report.plots import plot
from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.errors import NoRowsError, SpecError
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.catalogue import parse_spec
from participant.analyses.descriptive.descriptive import Described, DescriptiveSpec
from participant.analyses.descriptive.histogram import HistogramSpec
from participant.analyses.sums.quantiles import Quantiles, find_quantiles
from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.histogram import Measured
from tests.support.plain_sum import PlainSum
from tests.support.trials import gbsg2, split

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
PLAIN = {"dataset": "d", "row_limit": 1000, "minimum_persons": 1}


def spec(floor: int = 1, **changes: object) -> DescriptiveSpec:
    numbers = (Described(column="x", low=0, high=100, width=1),)
    return DescriptiveSpec.model_validate({"numbers": numbers} | PLAIN | {"minimum_persons": floor} | changes)


def tables(*columns: list[float], **other: list[list[float]]) -> dict[str, Columns]:
    return {
        f"site-{i}": {"x": np.array(x, np.float64)} | {k: np.array(v[i], np.float64) for k, v in other.items()}
        for i, x in enumerate(columns)
    }


async def quantiles(sites: PlainSum, floor: int, width: float = 1.0, high: float = 100.0) -> Quantiles:
    return await find_quantiles(spec(floor), sites, Measured(column="x", low=0, high=high), SHARES, width)


@pytest.mark.parametrize("floor", [1, 3, 5, 20])
@pytest.mark.parametrize("seed", range(6))
async def test_a_quantile_lies_in_its_bracket_whatever_is_hidden(floor: int, seed: int) -> None:
    rng = np.random.default_rng(seed)  # noqa: TID251 - test data
    shapes = [rng.gamma(2, 10, rng.integers(1, 120)) + rng.uniform(0, 40) for _ in range(rng.integers(1, 8))]
    columns = [np.round(np.clip(shape, 0, 100)).tolist() for shape in shapes]
    seen = [column for column in columns if len(column) >= floor]
    sites = PlainSum(tables(*columns), quantised=True)
    found = await quantiles(sites, floor)
    oracle = np.quantile(np.concatenate(seen), SHARES, method="inverted_cdf")
    assert (found.lower <= oracle).all()
    assert (oracle <= found.values).all()
    np.testing.assert_array_equal(found.values[found.known], oracle[found.known])
    assert sum("is only known to be between" in text for text in found.warnings) == (~found.known).sum()
    assert len(sites.queries) < 120
    if floor == 1:
        assert found.known.all()
        assert len(sites.queries) <= 2


async def test_a_floor_that_sites_are_far_above_hides_no_quantile() -> None:
    for parts in (1, 3):
        sites = {site: {"x": table["age"]} for site, table in split(gbsg2(), parts, 5).items()}
        found = await quantiles(PlainSum(sites), 5)
        assert found.known.all()
        np.testing.assert_array_equal(found.values, np.quantile(gbsg2()["age"], SHARES, method="inverted_cdf"))
        assert found.warnings == ()


@pytest.mark.parametrize("value", [0.0, 37.0, 100.0])
async def test_ties_everywhere(value: float) -> None:
    found = await quantiles(PlainSum(tables([value] * 7, [value] * 30)), 5)
    np.testing.assert_array_equal(found.values, [value] * 5)
    assert found.known.all()


async def test_a_fine_grid_takes_more_rounds_and_no_more_than_its_width_is_lost() -> None:
    values = np.sort(gbsg2()["progrec"] / 7)
    sites = PlainSum({site: {"x": table["progrec"] / 7} for site, table in split(gbsg2(), 4, 1).items()})
    found = await quantiles(sites, 1, width=1e-5, high=400)
    oracle = np.quantile(values, SHARES, method="inverted_cdf")
    assert (np.abs(found.values - oracle) <= 1e-5).all()
    assert len(sites.queries) <= 5


async def test_a_grid_without_end_is_refused() -> None:
    with pytest.raises(SpecError, match=r"a width of 1e-09 divides .* into more than \d+ steps"):
        await quantiles(PlainSum(tables([1.0, 2.0])), 1, width=1e-9)


@pytest.mark.parametrize("round_", range(4))
async def test_a_site_that_is_lost_takes_its_rows_out_of_the_whole_table(round_: int) -> None:
    sites = lung_by_institution()
    asked = DescriptiveSpec(
        dataset="lung",
        numbers=(Described(column="age", low=18, high=100, width=1), Described(column="wt.loss", low=-50, high=100)),
        categories=(Category(column="ph.ecog", levels=(0, 1, 2)),),
        row_limit=1000,
        minimum_persons=1,
    )
    given = PlainSum(sites, lost=[set()] * round_ + [{"institution-12"}])
    result = await asked.analyse(given)
    left = {
        name: np.concatenate([t[name] for site, t in sites.items() if site != "institution-12"])
        for name in ("age", "wt.loss")
    }
    assert result.rows == len(left["age"])
    assert result.numbers[0].mean == pytest.approx(left["age"].mean())
    assert result.numbers[0].quantiles[1] == np.quantile(left["age"], 0.5, method="inverted_cdf")
    assert result.numbers[1].missing == np.isnan(left["wt.loss"]).sum()
    assert "institution-12" not in result.sites


@pytest.mark.parametrize("round_", range(6))
async def test_quantiles_in_an_analysis_of_one_cohort_are_over_that_cohort(round_: int) -> None:
    sites = {site: {"x": table["age"]} for site, table in split(gbsg2(), 3, 5).items()}
    quantity = Measured(column="x", low=0, high=100)

    async def twice(over: SecureSum) -> list[Quantiles]:
        return [await find_quantiles(spec(5), over, quantity, SHARES, 1.0) for _ in range(2)]

    first, second = await over_one_cohort(twice, PlainSum(sites, lost=[set()] * round_ + [{"site-1"}]))
    assert first.sites == second.sites == ("site-0", "site-2")
    np.testing.assert_array_equal(first.values, second.values)


async def test_a_column_without_values_and_one_with_a_single_row() -> None:
    numbers = (Variable(column="x", low=0, high=9), Variable(column="y", low=0, high=9))
    described = tuple(Described(**one.model_dump(), width=1) for one in numbers)
    nan = float("nan")
    sites = PlainSum(tables([nan, nan], [nan], y=[[3.0, nan], [nan]]))
    result = await spec(numbers=described).analyse(sites)
    x, y = result.numbers
    assert (x.rows, x.missing, x.mean, x.quantiles) == (0, 3, None, (None, None, None))
    assert (y.rows, y.missing, y.mean, y.sd, y.quantiles) == (1, 2, 3.0, None, (3.0, 3.0, 3.0))
    assert "no row has a value of x, or their sites' floors hide all of them" in result.warnings
    assert "nan" not in result.summary()
    with pytest.raises(NoRowsError, match="across all sites, no row meets the filter"):
        await spec().analyse(PlainSum(tables([], [])))


async def test_what_a_floor_hides_is_said() -> None:
    sites = tables([10.0] * 20, [20.0] * 20, [1.0, 2.0], c=[[1.0] * 18 + [2.0] * 2, [1.0] * 10 + [3.0] * 10, [1.0] * 2])
    asked = spec(5, categories=(Category(column="c", levels=(1, 2)),))
    result = await asked.analyse(PlainSum(sites))
    assert any(text.startswith("20 of 40 persons are in these sums") for text in result.warnings)
    assert "10 rows have a code of c that is not a declared level; they are left out" in result.warnings
    assert [(level.rows, level.share) for level in result.levels] == [(10, 1.0), (0, 0.0)]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"numbers": []}, "there is nothing to describe"),
        ({"categories": [{"column": "x", "levels": [1, 2]}]}, "a column is listed twice"),
        ({"quantiles": [0.5, 0.25]}, "the shares of quantiles must ascend"),
        ({"quantiles": [1.0]}, "quantiles.0"),
        ({"numbers": [{"column": "x", "low": 0, "high": 1, "width": 0}]}, "numbers.0.width"),
    ],
)
def test_a_description_says_what_is_wrong(changes: dict, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        parse_spec(spec().model_dump(mode="json") | changes)


async def test_a_histogram_by_groups_with_rows_beyond_its_intervals() -> None:
    asked = HistogramSpec(
        variable=Variable(column="x", low=0, high=100),
        origin=10,
        width=10,
        bins=2,
        by=Category(column="c", levels=(1, 2, 3)),
        **PLAIN,
    )
    result = await asked.analyse(PlainSum(tables([5, 10, 11, 20], [21, 30, 31, 200], c=[[1] * 4, [1, 1, 2, 9]])))
    np.testing.assert_array_equal(result.counts, [[2, 2], [0, 0], [0, 0]])
    np.testing.assert_array_equal([result.below, result.above], [[2, 0, 0], [0, 1, 0]])
    assert result.table()[4]["density"] is None  # of a level that nobody has
    assert "1 values of x lie outside their declared range or levels" in result.warnings
    assert "1 rows have a code of c that is not a declared level; they are left out" in result.warnings
    assert plot(result)._repr_png_().startswith(b"\x89PNG")


async def test_a_histogram_is_drawn_and_an_empty_one_refused() -> None:
    asked = HistogramSpec(variable=Variable(column="x", low=0, high=100), origin=0, width=10, bins=10, **PLAIN)
    result = await asked.analyse(PlainSum(tables([0.0, 5.0, 10.0, 95.0])))
    np.testing.assert_array_equal(result.counts[0], [3, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    assert result.counts.sum() == result.rows == 4
    assert [axes.get_xlabel() for axes in plot(result).axes] == ["x"]
    with pytest.raises(NoRowsError, match="across all sites, no row"):
        await asked.analyse(PlainSum(tables([])))
