"""Cox regression from sums over sites: the pooled fit, and every reason for having none."""

from itertools import pairwise

import numpy as np
import pytest

from coordinator.demo.lung import COX, lung_by_institution
from coordinator.demo.pooled import pooled, pooled_cox
from participant.analyses.base.errors import (
    CodingError,
    CohortError,
    CollinearityError,
    ConvergenceError,
    NoEventsError,
    NoRowsError,
    PrecisionError,
    SeparationError,
)
from participant.analyses.base.secure_sum import Sum
from participant.analyses.survival import cox
from participant.analyses.survival.cox import CoxResult, CoxSpec, fit_cox
from participant.analyses.survival.partial_likelihood import partial_likelihood
from participant.statistics.language.conditions import Comparison
from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category
from participant.statistics.models.outcome import Grid
from participant.statistics.models.variables import Variable
from tests.support.plain_sum import PlainSum
from tests.support.trials import TRIALS, lung, rossi, rows, split, take


def assert_pooled(result: CoxResult, table: Columns, spec: CoxSpec) -> None:
    expected = pooled_cox(table, spec)
    np.testing.assert_allclose(result.coef, expected.coef, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(result.se, expected.se, rtol=1e-6)
    np.testing.assert_allclose(result.log_likelihood, expected.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(result.null_log_likelihood, expected.null_log_likelihood, rtol=1e-10)
    assert (result.rows, result.events) == (expected.rows, expected.events)


@pytest.mark.parametrize("quantised", [False, True], ids=["reals", "fixed point"])
@pytest.mark.parametrize("parts", [1, 3, 9])
@pytest.mark.parametrize("name", TRIALS)
async def test_equals_lifelines(name: str, parts: int, quantised: bool) -> None:
    load, spec = TRIALS[name]
    secure_sum = PlainSum(split(load(), parts, seed=parts), quantised=quantised)
    result = await fit_cox(spec, secure_sum)
    assert_pooled(result, load(), spec)
    assert result.rounding < 1e-6
    assert result.warnings == ()
    assert len(secure_sum.queries) == result.iterations + 2
    assert result.iterations <= 9


async def test_the_nine_institutions() -> None:
    result = await fit_cox(COX, PlainSum(lung_by_institution(), quantised=True))
    assert len(result.sites) == 9
    assert (result.rows, result.events) == (162, 118)
    assert_pooled(result, lung(), COX)
    raw = pooled_cox(lung(), COX, on_grid=False)
    assert 1e-4 < np.abs(result.coef - raw.coef).max() < 1e-2  # what the weekly grid costs


async def test_filter_and_missing_values() -> None:
    spec = COX.model_copy(
        update={
            "filter": (Comparison(column="sex", op="==", value=1),),
            "covariates": AGE_AND_LOSS,
            "minimum_persons": 1,
        }
    )
    assert_pooled(await fit_cox(spec, PlainSum(split(lung(), 3, seed=1))), lung(), spec)


AGE_AND_LOSS = (COX.covariates[0], COX.covariates[3])


async def test_the_table_of_the_result() -> None:
    result = await fit_cox(COX, PlainSum({"all": lung()}))
    age = result.table()[0]
    assert age["name"] == "age"
    assert age["hazard_ratio"] == pytest.approx(np.exp(age["coef"]))
    assert age["lower"] == pytest.approx(np.exp(age["coef"] - 1.959963984540054 * age["se"]))
    assert age["z"] == pytest.approx(age["coef"] / age["se"])
    assert age["p"] == pytest.approx(0.0951, abs=1e-3)
    assert result.likelihood_ratio == pytest.approx(2 * (result.log_likelihood - result.null_log_likelihood))
    assert 0 < result.likelihood_ratio_p < 1e-3
    np.testing.assert_allclose(np.sqrt(np.diag(result.covariance)), result.se)


@pytest.mark.parametrize("at_round", range(8))
async def test_a_site_that_is_lost_leaves_the_fit(at_round: int) -> None:
    """Whenever it is lost, estimate and likelihoods are those of the sites that are left."""
    sites = lung_by_institution()
    gone = "institution-13"
    secure_sum = PlainSum(sites, lost=[set()] * at_round + [{gone}])
    result = await fit_cox(COX, secure_sum)
    left = {site: table for site, table in sites.items() if site in result.sites}
    assert (gone in left) == (len(secure_sum.queries) <= at_round)
    assert_pooled(result, pooled(left.values()), COX)


async def test_two_sites_that_are_lost_one_after_the_other() -> None:
    sites = lung_by_institution()
    lost = [set(), set(), set(), {"institution-01"}, set(), set(), {"institution-13"}, set(), {"institution-22"}]
    result = await fit_cox(COX, PlainSum(sites, lost=lost))
    assert_pooled(result, pooled(sites[site] for site in result.sites), COX)
    assert len(result.sites) < 9


async def test_the_same_sums_give_the_same_queries() -> None:
    """A coordinator that starts again asks its journal what it asked the sites."""
    first, second = PlainSum(split(lung(), 3, seed=0)), PlainSum(split(lung(), 3, seed=0))
    await fit_cox(COX, first)
    await fit_cox(COX, second)
    assert [query.encode() for query in first.queries] == [query.encode() for query in second.queries]


async def test_only_times_with_events_are_asked() -> None:
    secure_sum = PlainSum({"all": lung()})
    await fit_cox(COX, secure_sum)
    complete = ~np.isnan([lung()[name] for name in COX.names]).any(axis=0)
    died = np.ceil(lung()["time"][complete & (lung()["status"] == 1)] / 7)
    weeks, events = np.unique(died, return_counts=True)
    params = secure_sum.queries[-1].params
    assert params["at"] == weeks.tolist()
    assert params["tied"] == weeks[events > 1].tolist()


async def test_value_bits_of_the_specification_win() -> None:
    secure_sum = PlainSum({"all": lung()}, quantised=True)
    await fit_cox(COX.model_copy(update={"value_bits": 48}), secure_sum)
    assert {query.value_bits for query in secure_sum.queries} == {48}


def table_of(**columns) -> Columns:
    """Sixty patients, one a day, every second one with an event."""
    days = np.arange(1.0, 61.0)
    return {
        "time": days,
        "status": 1 - days % 2,
        **{name: np.asarray(column, float) for name, column in columns.items()},
    }


def spec_of(*names: str, low: float = -1000, high: float = 1000, **changes) -> CoxSpec:
    spec = CoxSpec(
        minimum_persons=1,
        dataset="made-up",
        time="time",
        event="status",
        covariates=tuple(Variable(column=name, low=low, high=high) for name in names),
        grid=Grid(width=1, count=60),
        row_limit=100,
    )
    return spec.model_copy(update=changes)


async def fit(spec: CoxSpec, table: Columns) -> CoxResult:
    return await fit_cox(spec, PlainSum(split(table, 3, seed=0), quantised=True))


WAVE = np.sin(np.arange(60))


@pytest.mark.parametrize(
    ("spec", "table", "error", "complaint"),
    [
        (spec_of("x"), table_of(x=np.full(60, np.nan)), NoRowsError, "across all sites, no row"),
        (spec_of("x"), table_of(x=WAVE) | {"status": np.zeros(60)}, NoEventsError, "across all sites, no event"),
        (spec_of("x"), table_of(x=WAVE) | {"status": np.full(60, 2.0)}, CodingError, "60 rows .* status other than 0"),
        (
            spec_of("x"),
            table_of(x=WAVE) | {"time": WAVE},
            CodingError,
            f"{np.count_nonzero(WAVE < 0)} rows .* negative time",
        ),
        (spec_of("x", "y"), table_of(x=WAVE, y=np.full(60, 3)), CollinearityError, "^y: the same value in all rows"),
        (spec_of("x", "y"), table_of(x=WAVE, y=3 - 2 * WAVE), CollinearityError, "^x, y: .*linear combination"),
        (
            spec_of("x", "y", "z", "u"),
            table_of(x=WAVE, y=WAVE**2, z=WAVE + WAVE**2, u=np.cos(np.arange(60))),
            CollinearityError,
            "^x, y, z: one of these columns",
        ),
        # Differs only before the first event, so in no risk set.
        (spec_of("x"), table_of(x=np.arange(60) < 1), CollinearityError, "at every event"),
        (spec_of("x", low=0, high=60), table_of(x=-np.arange(60) + 60), SeparationError, "^x: the estimate grows"),
        (spec_of("x", low=0, high=1), table_of(x=np.arange(60) % 2), SeparationError, "^x: the estimate grows"),
        (spec_of("x", value_bits=12), table_of(x=WAVE), PrecisionError, "value_bits"),
    ],
)
async def test_no_estimate(spec: CoxSpec, table: Columns, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        await fit(spec, table)


def test_separation_is_a_failure_to_converge() -> None:
    assert issubclass(SeparationError, ConvergenceError)


async def test_odd_but_estimable() -> None:
    """Everybody has the event at one time; one site has no events; a level occurs at one site only."""
    at_once = table_of(x=WAVE, y=np.cos(np.arange(60))) | {"time": np.full(60, 3.0)}
    assert_pooled(await fit(spec_of("x", "y", low=-1, high=1), at_once), at_once, spec_of("x", "y"))
    table = rossi()
    order = np.argsort(table["arrest"], kind="stable")
    sites = {
        "no events": take(table, order[:150]),
        "others": take(table, order[150:300]),
        "only events": take(table, order[300:]),
    }
    assert not sites["no events"]["arrest"].any()
    assert_pooled(await fit_cox(TRIALS["rossi"][1], PlainSum(sites)), table, TRIALS["rossi"][1])
    married = {"married": take(table, table["mar"] == 1), "single": take(table, table["mar"] == 0)}
    assert_pooled(await fit_cox(TRIALS["rossi"][1], PlainSum(married)), table, TRIALS["rossi"][1])


async def test_values_out_of_range_are_reported() -> None:
    spec = COX.model_copy(update={"covariates": (Variable(column="age", low=50, high=100), *COX.covariates[1:])})
    table = lung()
    result = await fit_cox(spec, PlainSum({"all": table}))
    complete = ~np.isnan([table[name] for name in COX.names]).any(axis=0)
    young = np.count_nonzero(table["age"][complete] < 50)
    assert result.warnings == (
        f"{young} values of age lie outside its declared range 50 to 100 and were clipped to it",
    )
    assert_pooled(result, table | {"age": np.maximum(table["age"], 50)}, spec)


async def test_few_events_are_reported() -> None:
    few = take(lung(), np.arange(rows(lung())) < 40)
    result = await fit_cox(COX, PlainSum({"all": few}))
    assert result.events < 40
    assert result.warnings == (f"only {result.events} events for 4 covariates; estimates may be unstable",)


async def test_a_site_that_joins_in_the_middle_is_noticed() -> None:
    class Growing(PlainSum):
        async def __call__(self, query) -> Sum:
            if len(self.queries) == 3:
                self.tables["late"] = lung()
            return await super().__call__(query)

    with pytest.raises(CohortError, match="late"):
        await fit_cox(COX, Growing(lung_by_institution()))


async def test_sites_that_are_left_without_events() -> None:
    table = rossi()
    sites = {"events": take(table, table["arrest"] == 1), "none": take(table, table["arrest"] == 0)}
    with pytest.raises(NoEventsError, match="the remaining sites"):
        await fit_cox(TRIALS["rossi"][1], PlainSum(sites, lost=[set(), set(), {"events"}]))


def skewed(seed: int) -> Columns:
    """A log-normal covariate with a hazard ratio above 2 a unit: weights over many orders of magnitude."""
    noise = np.random.default_rng(seed)  # noqa: TID251 - made-up patients
    x = np.exp(1.3 * noise.normal(size=60))
    rank = np.argsort(np.argsort(noise.exponential(size=60) * np.exp(-0.8 * x)))
    return {"time": rank + 1.0, "status": (noise.random(60) < 0.6).astype(float), "x": x}


async def test_steps_that_overshoot_are_halved(monkeypatch) -> None:
    likelihoods = []

    def watched(*args):
        point = partial_likelihood(*args)
        likelihoods.append(point.log_likelihood)
        return point

    monkeypatch.setattr(cox, "partial_likelihood", watched)
    spec = spec_of("x", low=0, high=60)
    assert_pooled(await fit(spec, skewed(179)), skewed(179), spec)
    assert min(np.diff(likelihoods)) < -1  # a step was taken back


async def test_weights_beyond_fixed_point_are_refused() -> None:
    with pytest.raises(PrecisionError, match="more value_bits"):
        await fit(spec_of("x", low=0, high=60), skewed(5))


async def test_a_weight_beyond_the_expected_costs_a_round() -> None:
    secure_sum = PlainSum({"all": TRIALS["gbsg2"][0]()})
    await fit_cox(TRIALS["gbsg2"][1], secure_sum)
    asked = [(query.params["beta"], query.params["log_weight_limit"]) for query in secure_sum.queries[2:]]
    repeated = [(first, second) for first, second in pairwise(asked) if first[0] == second[0]]
    assert len(repeated) == 1
    assert repeated[0][0][1] < repeated[0][1][1]


async def test_generous_ranges_and_limits_do_no_harm() -> None:
    """Twenty covariates whose ranges are ten times what occurs: the corner of the ranges is beyond exp(40)."""
    noise = np.random.default_rng(3)  # noqa: TID251 - made-up patients
    x = noise.normal(size=(20, 2000))
    table = {f"x{i}": row for i, row in enumerate(x)}
    table["time"] = np.ceil(100 * noise.exponential(size=2000) * np.exp(-0.2 * x.sum(axis=0)))
    table["status"] = (table["time"] < 300).astype(float)
    spec = CoxSpec(
        minimum_persons=1,
        dataset="made-up",
        time="time",
        event="status",
        covariates=tuple(Variable(column=f"x{i}", low=-10, high=20) for i in range(20)),
        grid=Grid(width=3, count=100),
        row_limit=1_000_000,
    )
    assert_pooled(await fit(spec, table), table, spec)


SEX = Category(column="sex", levels=(1, 2))
BY_SEX = COX.model_copy(update={"covariates": (COX.covariates[0], COX.covariates[2]), "strata": (SEX,)})


async def test_strata_have_risk_sets_of_their_own() -> None:
    """Twice the same patients under another code say the same as once, with half the variance."""
    once = lung() | {"ward": np.zeros(rows(lung()))}
    twice = pooled([once, once | {"ward": np.ones(rows(lung()))}])
    spec = COX.model_copy(update={"strata": (Category(column="ward", levels=(0, 1)),), "minimum_persons": 1})
    single, double = await fit_cox(COX, PlainSum({"all": lung()})), await fit_cox(spec, PlainSum(split(twice, 3, 0)))
    np.testing.assert_allclose(double.coef, single.coef, rtol=1e-7)
    np.testing.assert_allclose(double.se, single.se / np.sqrt(2), rtol=1e-7)
    assert "Cox regression, Efron's treatment of ties, strata of ward" in double.summary()


async def test_other_codes_are_a_stratum_and_said_so() -> None:
    spec = BY_SEX.model_copy(update={"strata": (Category(column="sex", levels=(1, 3)),)})
    result, expected = [await fit_cox(one, PlainSum({"all": lung()})) for one in (spec, BY_SEX)]
    np.testing.assert_allclose(result.coef, expected.coef, rtol=1e-9)
    women = np.count_nonzero((lung()["sex"] == 2) & ~np.isnan(lung()["ph.ecog"]))
    assert result.warnings == (
        f"{women} rows have a value of sex that is not a declared level; they form strata of their own",
    )


@pytest.mark.parametrize("at_round", range(8))
async def test_a_site_that_is_lost_leaves_the_test_of_proportional_hazards(at_round: int) -> None:
    spec = COX.model_copy(update={"proportional_hazards": "rank"})
    sites = lung_by_institution()
    result = await fit_cox(spec, PlainSum(sites, lost=[set()] * at_round + [{"institution-13"}]))
    left = await fit_cox(spec, PlainSum({"left": pooled(sites[site] for site in result.sites)}))
    assert_pooled(result, pooled(sites[site] for site in result.sites), COX)
    np.testing.assert_allclose(result.proportional_hazards.score, left.proportional_hazards.score, rtol=1e-6)
    np.testing.assert_allclose(result.proportional_hazards.residual, left.proportional_hazards.residual, rtol=1e-6)


async def test_hazards_that_are_not_proportional_are_said_so() -> None:
    """A covariate that harms at first and protects later."""
    early = np.arange(60) < 30
    noise = np.random.default_rng(5)  # noqa: TID251 - made-up patients
    x = np.where(early, noise.random(60) + 0.5, noise.random(60))
    spec = spec_of("x", low=-2, high=2, proportional_hazards="identity")
    result = await fit(spec, table_of(x=x, status=np.ones(60)))
    assert result.proportional_hazards.score_p[0] < 0.05
    assert result.warnings[0].startswith("the hazard ratio of x probably changes over time (p = ")
    assert "score test against time (identity)" in result.summary()
