"""Logistic and negative binomial regression on unusual, hidden or lost data; what `glm` reports besides estimates."""

import numpy as np
import pytest
import statsmodels.api as sm

from participant.analyses.base.errors import CollinearityError, SeparationError
from participant.analyses.base.secure_sum import Sum
from participant.analyses.regression.glm import GlmSpec, Offset, fit_glm
from participant.analyses.regression.logistic import LogisticSpec
from participant.analyses.regression.negative_binomial import NegativeBinomialSpec, NotOverdispersedError
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from secagg.errors import NotEnoughParticipantsError
from tests.support.plain_sum import PlainSum
from tests.support.trials import gbsg2, split

AGE = Variable(column="age", low=18, high=90)
EVENT = Variable(column="cens", low=0, high=1)
NODES = Variable(column="pnodes", low=0, high=60)
GRADE = Category(column="tgrade", levels=(1, 2, 3))
PLAIN = {"dataset": "gbsg2", "row_limit": 1000, "minimum_persons": 1}


def logistic(formula: str = "cens ~ age + C(tgrade)", **changes: object) -> LogisticSpec:
    given = {"formula": formula, "numbers": (AGE, EVENT, NODES), "categories": (GRADE,), "groups": 10}
    return LogisticSpec.model_validate(given | PLAIN | changes)


def without(sites: dict[str, Columns], lost: str) -> Columns:
    kept = [table for site, table in sites.items() if site != lost]
    return {name: np.concatenate([table[name] for table in kept]) for name in kept[0]}


async def test_a_floor_hides_groups_and_then_there_is_no_test_of_fit() -> None:
    result = await logistic(minimum_persons=5).analyse(PlainSum(split(gbsg2(), 3, 1)))
    assert result.hosmer_lemeshow is result.hosmer_lemeshow_p is result.hosmer_lemeshow_df is None
    assert any(text.startswith("no Hosmer-Lemeshow test: the sites hide small groups") for text in result.warnings)
    fewer = await logistic(minimum_persons=5, groups=4).analyse(PlainSum(split(gbsg2(), 2, 1)))
    assert fewer.hosmer_lemeshow is not None
    assert sum(group.rows for group in fewer.groups) == fewer.rows == 686
    assert sum(group.expected for group in fewer.groups) == pytest.approx(gbsg2()["cens"].sum())


async def test_few_risks_make_few_groups() -> None:
    result = await logistic("cens ~ C(tgrade)").analyse(PlainSum(split(gbsg2(), 3, 1)))
    assert len(result.groups) == 3
    assert result.hosmer_lemeshow == pytest.approx(0, abs=1e-9)  # a model of all the groups' risks
    two = await logistic("cens ~ I(age >= 50)").analyse(PlainSum(split(gbsg2(), 3, 1)))
    assert two.hosmer_lemeshow is None
    assert any("fewer than three groups differ in risk" in text for text in two.warnings)


async def test_an_indicator_of_another_code_has_no_test_of_fit() -> None:
    asked = logistic("I(tgrade == 2) ~ age", numbers=(AGE, Variable(column="tgrade", low=1, high=3)), categories=())
    result = await asked.analyse(PlainSum({"all": gbsg2()}))
    oracle = sm.Logit(gbsg2()["tgrade"] == 2, sm.add_constant(gbsg2()["age"])).fit(disp=False, tol=1e-12)
    np.testing.assert_allclose(result.coef, oracle.params, rtol=1e-6)
    assert any("tgrade has values other than 0 and 1" in text for text in result.warnings)
    assert "nan" not in result.summary()


async def test_it_can_be_left_out() -> None:
    sites = PlainSum(split(gbsg2(), 3, 1))
    result = await logistic(groups=0).analyse(sites)
    assert result.groups == ()
    assert {query.statistic for query in sites.queries} <= {"moments", "glm-score", "ranges"}


@pytest.mark.parametrize("round_", range(0, 10, 2))
async def test_a_site_that_is_lost_takes_its_rows_out_of_everything(round_: int) -> None:
    sites = split(gbsg2(), 3, 1)
    given = PlainSum(sites, lost=[set()] * round_ + [{"site-1"}])
    result = await logistic().analyse(given)
    assert "site-1" not in given.tables
    left = without(sites, "site-1")
    x = np.column_stack([np.ones(len(left["age"])), left["age"], left["tgrade"] == 2, left["tgrade"] == 3]).astype(
        float
    )
    oracle = sm.Logit(left["cens"], x).fit(disp=0, method="newton")
    np.testing.assert_allclose(result.coef, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(result.null_log_likelihood, oracle.llnull, rtol=1e-9)
    assert sum(group.rows for group in result.groups) == len(left["age"])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"cens": (gbsg2()["age"] > 50).astype(float)}, SeparationError),
        ({"cens": np.where(gbsg2()["tgrade"] == 3, 1.0, gbsg2()["cens"])}, SeparationError),
        ({"cens": np.zeros(686)}, SeparationError),
        ({"cens": np.ones(686)}, SeparationError),
        ({"age": np.full(686, 50.0)}, CollinearityError),
    ],
)
async def test_no_fit(change: dict, error: type) -> None:
    with pytest.raises(error):
        await logistic(groups=0).analyse(PlainSum(split(gbsg2() | change, 3, 1), quantised=True))


async def test_a_site_without_events_is_no_trouble() -> None:
    table = gbsg2()
    order = np.argsort(table["cens"], kind="stable")
    sites = {"none": order[:200], "some": order[200:]}
    result = await logistic().analyse(
        PlainSum({s: {n: c[rows] for n, c in table.items()} for s, rows in sites.items()})
    )
    whole = await logistic().analyse(PlainSum({"all": table}))
    np.testing.assert_allclose(result.coef, whole.coef, rtol=1e-8)


async def test_a_null_deviance_has_the_offset_and_the_sites_of_the_fit() -> None:
    sites = split(gbsg2(), 4, 2)
    spec = GlmSpec(
        formula="pnodes ~ age",
        family="poisson",
        numbers=(AGE, NODES),
        offset=Offset(column="horTh", low=0, high=1),
        **PLAIN,
    )
    for round_ in (0, 2, 4, 6):
        given = PlainSum(sites, lost=[set()] * round_ + [{"site-2"}])
        result = await fit_glm(spec, given)
        left = without(sites, "site-2")
        oracle = sm.GLM(left["pnodes"], sm.add_constant(left["age"]), sm.families.Poisson(), offset=left["horTh"]).fit()
        if "site-2" not in given.tables:
            np.testing.assert_allclose(result.null_deviance, oracle.null_deviance, rtol=1e-8)
            np.testing.assert_allclose(result.deviance, oracle.deviance, rtol=1e-8)
    np.testing.assert_allclose(result.ratio, np.exp(result.coef))


async def test_what_a_model_says_beside_its_estimates() -> None:
    odd = gbsg2() | {"tgrade": np.where(np.arange(686) < 4, 7.0, gbsg2()["tgrade"])}
    spec = GlmSpec(
        formula="pnodes ~ age + tgrade", family="poisson", numbers=(AGE, NODES), categories=(GRADE,), **PLAIN
    )
    result = await fit_glm(spec, PlainSum({"all": odd}))
    assert "4 values of tgrade lie outside their declared range or levels" in result.warnings
    assert any(
        text.startswith("these 4 rows count as having the reference level of tgrade") for text in result.warnings
    )
    assert any("overdispersion" in text for text in result.warnings)
    assert "The ratio is that of rates" in result.summary()
    plain = await fit_glm(spec.model_copy(update={"family": "gaussian"}), PlainSum({"all": odd}))
    assert plain.likelihood_ratio is None
    assert plain.table()[0]["ratio"] is None
    assert plain.null_deviance == pytest.approx(((odd["pnodes"] - odd["pnodes"].mean()) ** 2).sum())


def counts(**changes: object) -> NegativeBinomialSpec:
    given = {"formula": "pnodes ~ age + C(tgrade)", "numbers": (AGE, NODES), "categories": (GRADE,)}
    return NegativeBinomialSpec.model_validate(given | PLAIN | changes)


async def test_counts_that_are_not_overdispersed_are_refused() -> None:
    even = gbsg2() | {"pnodes": np.round(gbsg2()["age"] / 10)}
    with pytest.raises(NotOverdispersedError, match="not overdispersed, so use the Poisson model"):
        await counts().analyse(PlainSum(split(even, 3, 1)))


async def test_a_dispersion_far_from_its_first_guess() -> None:
    rng = np.random.default_rng(5)  # noqa: TID251 - test data
    age = rng.uniform(20, 80, 400)
    rare = {"age": age, "pnodes": rng.negative_binomial(0.05, 0.05 / (0.05 + 2), 400).astype(float)}
    spec = counts(formula="pnodes ~ age", numbers=(AGE, Variable(column="pnodes", low=0, high=500)), categories=())
    result = await spec.analyse(PlainSum(split(rare, 3, 1), quantised=True))
    x = sm.add_constant(age)
    start = [*result.coef, result.alpha]
    oracle = sm.NegativeBinomial(rare["pnodes"], x).fit(
        start_params=start, disp=0, method="newton", warn_convergence=False
    )
    np.testing.assert_allclose([*result.coef, result.alpha], oracle.params, rtol=1e-6)
    assert result.alpha > 5


@pytest.mark.parametrize("round_", [4, 20])
async def test_a_lost_site_begins_the_search_again(round_: int) -> None:
    sites = split(gbsg2(), 3, 1)
    given = PlainSum(sites, lost=[set()] * round_ + [{"site-1"}])
    result = await counts().analyse(given)
    left = without(sites, "site-1")
    alone = await counts().analyse(PlainSum({"all": left}))
    np.testing.assert_allclose([*result.coef, result.alpha], [*alone.coef, alone.alpha], rtol=1e-7)
    assert result.rows == len(left["age"])


class LosesSites(PlainSum):
    """Sums until the fit is finished: too few sites are left for any other statistic."""

    async def __call__(self, query: BoundQuery) -> Sum:
        if query.statistic.name == "histogram":
            raise NotEnoughParticipantsError("2 sites are left, fewer than 3")
        return await super().__call__(query)


async def test_a_finished_fit_is_not_lost_to_the_test_that_follows() -> None:
    result = await logistic().analyse(LosesSites(split(gbsg2(), 3, 1)))
    alone = await logistic(groups=0).analyse(PlainSum(split(gbsg2(), 3, 1)))
    np.testing.assert_array_equal(result.coef, alone.coef)
    assert result.hosmer_lemeshow is None
    assert any("no Hosmer-Lemeshow test: 2 sites are left" in text for text in result.warnings)


async def test_a_default_fit_asks_for_nothing_beside_the_model() -> None:
    sites = PlainSum(split(gbsg2(), 3, 1))
    await LogisticSpec.model_validate(logistic(minimum_persons=5).model_dump(exclude={"groups"})).analyse(sites)
    assert {query.statistic for query in sites.queries} <= {"moments", "glm-score", "ranges"}
    assert len(sites.queries) <= 12
