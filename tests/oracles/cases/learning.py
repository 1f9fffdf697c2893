"""Machine learning, compared with scikit-learn and with the plain methods in numpy."""

import warnings

import numpy as np
import statsmodels.api as sm
from scipy.special import expit, logit
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer known
from sklearn.impute import IterativeImputer
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, roc_auc_score
from sklearn.naive_bayes import CategoricalNB, GaussianNB
from sklearn.svm import LinearSVC

from coordinator.demo.pooled import pooled
from participant.analyses.learning.cross_validation import CrossValidationSpec
from participant.analyses.learning.federated_training import FederatedTrainingSpec
from participant.analyses.learning.imputation import Gap, ImputationSpec
from participant.analyses.learning.k_means import KMeansSpec
from participant.analyses.learning.naive_bayes import NaiveBayesSpec
from participant.analyses.learning.roc import RocSpec
from participant.analyses.learning.svm import LinearSvmSpec
from participant.statistics.language.conditions import Fold, meets
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients, within
from tests.oracles.data import sites_of

AGE = Variable(column="age", low=18, high=100)
PLAIN = {"row_limit": 1000, "minimum_persons": 1}


def training(dataset: str, event: str) -> FederatedTrainingSpec:
    return FederatedTrainingSpec(
        dataset=dataset,
        formula=f"{event} ~ scale(age, 60, 10)",
        numbers=(AGE, Variable(column=event, low=0, high=1)),
        trainer="logistic-regression",
        settings={"steps": 4, "rate": 0.2, "penalty": 0.0, "proximal": 0.0},
        rounds=6,
        **PLAIN,
    )


@case(training("lung", "status"), training("gbsg2", "cens"))
async def federated_averaging(spec: FederatedTrainingSpec, sites: Sites) -> list[Agreement]:
    """FedAvg in the open: each site's steps from the same weights, averaged by its rows."""
    count = len(sites.tables)
    result = await spec.analyse(sites)
    event, weights, losses = spec.numbers[1].column, np.zeros(2), []
    for number in range(spec.rounds):
        there = sites_of(spec.dataset, count)
        if number >= len(sites.queries) // 2:  # from then on a lost site is missing
            there = {name: table for name, table in there.items() if name in sites.tables}
        losses.append(_loss(weights, pooled(there.values()), event))
        after = [_descended(weights, table, event) for table in there.values()]
        weights = np.average(after, axis=0, weights=[len(table[event]) for table in there.values()])
    return [
        coefficients(result.weights, weights, "weights, FedAvg"),
        coefficients([one.loss for one in result.rounds], losses, "loss curve, FedAvg"),
    ]


def _loss(weights, table, event) -> float:
    eta = weights[0] + weights[1] * (table["age"] - 60) / 10
    return float((np.logaddexp(0, eta) - table[event] * eta).mean())


def _descended(weights, table, event):
    z = np.column_stack([np.ones(len(table["age"])), (table["age"] - 60) / 10])
    for _ in range(4):
        weights = weights - 0.2 * z.T @ (expit(z @ weights) - table[event]) / len(z)
    return weights


@case(
    NaiveBayesSpec(
        dataset="lung",
        outcome=Category(column="status", levels=(0, 1)),
        numbers=(AGE, Variable(column="wt.loss", low=-50, high=100)),
        categories=(Category(column="sex", levels=(1, 2)), Category(column="ph.ecog", levels=(0, 1, 2, 3))),
        **PLAIN,
    ),
    NaiveBayesSpec(
        dataset="wine",
        outcome=Category(column="target", levels=(0, 1, 2)),
        numbers=(Variable(column="alcohol", low=10, high=16), Variable(column="proline", low=200, high=2000)),
        **PLAIN,
    ),
)
async def naive_bayes(spec: NaiveBayesSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, *spec.columns)
    classes = rows[spec.outcome.column]
    normal = GaussianNB().fit(rows[list(result.numbers)].to_numpy(), classes)
    agreements = [
        coefficients(result.mean, normal.theta_, "means"),
        coefficients(result.variance, normal.var_, "variances"),
        coefficients(result.prior, normal.class_prior_, "priors"),
    ]
    if spec.categories:
        codes = [
            np.searchsorted(one.levels, rows[one.column].to_numpy()) for one in spec.categories
        ]  # the levels ascend
        levels = [len(one.levels) for one in spec.categories]
        multinomial = CategoricalNB(min_categories=levels).fit(np.column_stack(codes), classes)
        expected = np.exp(np.concatenate(multinomial.feature_log_prob_, axis=1))
        agreements.append(coefficients(np.concatenate(result.probability, axis=1), expected, "level probabilities"))
    return agreements


def machine(dataset: str, outcome: str, terms: str, *numbers: Variable) -> LinearSvmSpec:
    numbers += (Variable(column=outcome, low=0, high=1),)
    formula = f"{outcome} ~ {terms}"
    return LinearSvmSpec(dataset=dataset, formula=formula, numbers=numbers, cost=0.5, penalise_intercept=True, **PLAIN)


@case(
    machine(
        "lung",
        "status",
        "scale(age, 60, 10) + scale(time, 300, 200)",
        AGE,
        Variable(column="time", low=0, high=1100),
    ),
    machine(
        "breast-cancer",
        "malignant",
        "scale(mean_radius, 14, 3.5) + scale(mean_texture, 19, 4.3)",
        Variable(column="mean_radius", low=5, high=30),
        Variable(column="mean_texture", low=5, high=45),
    ),
)
async def linear_svm(spec: LinearSvmSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    outcome, design = spec.model()
    rows = sites.rows(spec, *design.columns, outcome.column)
    z = design.coded({name: rows[name].to_numpy() for name in rows}).z
    oracle = LinearSVC(C=0.5, loss="squared_hinge", dual=False, tol=1e-12, max_iter=10_000)
    oracle.fit(z[1:].T, rows[outcome.column])
    expected = np.append(oracle.intercept_, oracle.coef_[0])
    return [coefficients(result.coef, expected)]


def clusters(dataset: str, k: int, *variables: Variable, **more) -> KMeansSpec:
    return KMeansSpec(dataset=dataset, variables=variables, clusters=k, **more, **PLAIN)


WINE = (
    Variable(column="alcohol", low=10, high=16),
    Variable(column="flavanoids", low=0, high=6),
    Variable(column="proline", low=200, high=2000),
)
LUNG = (AGE, Variable(column="wt.loss", low=-50, high=100), Variable(column="time", low=0, high=1100))


@case(
    clusters("wine", 3, *WINE, centres=((13.5, 3.0, 1100.0), (12.3, 2.0, 500.0), (13.0, 0.8, 600.0))),
    clusters("lung", 2, *LUNG, centres=((60.0, 5.0, 200.0), (65.0, 10.0, 500.0))),
)
async def k_means_from_given_centres(spec: KMeansSpec, sites: Sites) -> list[Agreement]:
    """From the same centres each step is that of one table, and so is the end."""
    result = await spec.analyse(sites)
    x, scale = _standard(spec, sites, result)
    first = (np.array(spec.centres) - scale[0]) / scale[1]
    oracle = KMeans(len(first), init=first, n_init=1, algorithm="lloyd", tol=0, max_iter=1000).fit(x)
    order = np.lexsort(result.centres.T)
    expected = oracle.cluster_centers_ * scale[1] + scale[0]
    return [
        coefficients(result.centres[order], expected[np.lexsort(expected.T)], "centres"),
        coefficients(result.inertia, oracle.inertia_, "inertia"),
    ]


@case(clusters("wine", 3, *WINE, starts=2), clusters("lung", 2, *LUNG))
async def k_means_from_splits(spec: KMeansSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    x, _ = _standard(spec, sites, result)
    best = KMeans(spec.clusters, n_init=20, random_state=0, tol=0).fit(x).inertia_
    reason = "local minima: the best of twenty starts by k-means++ beside one or two by splitting"
    return [within(0.02, reason, result.inertia, best, "inertia", relative=True)]


def _standard(spec, sites, result):
    rows = sites.rows(spec, *result.variables).to_numpy()
    mean, sd = rows.mean(axis=0), rows.std(axis=0)
    return (rows - mean) / sd, (mean, sd)


RISK = {
    "lung": ("status", ("age", "time"), ((18, 100), (0, 1100))),
    "breast-cancer": ("malignant", ("mean_texture", "mean_smoothness"), ((5, 45), (0, 0.2))),
}


def risk(dataset: str, **more) -> dict:
    """The table of a logistic regression, or with coefficients of a model that is given."""
    outcome, names, ranges = RISK[dataset]
    numbers = [{"column": name, "low": low, "high": high} for name, (low, high) in zip(names, ranges, strict=True)]
    return {
        "analysis": "given" if more else "glm",
        "formula": f"{outcome} ~ {' + '.join(names)}",
        "family": "binomial",
        "numbers": [*numbers, {"column": outcome, "low": 0, "high": 1}],
    } | more


@case(
    RocSpec(dataset="lung", model=risk("lung"), bins=200, **PLAIN),
    RocSpec(dataset="breast-cancer", model=risk("breast-cancer"), bins=200, **PLAIN),
    RocSpec(dataset="lung", model=risk("lung", coefficients=[-1.0, 0.05, -0.002]), bins=50, **PLAIN),
    RocSpec(dataset="breast-cancer", model=risk("breast-cancer", coefficients=[-7, 0.2, 20]), bins=50, **PLAIN),
)
async def roc(spec: RocSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    outcome, names, _ = RISK[spec.dataset]
    rows = sites.rows(spec, outcome, *names)
    y, x = rows[outcome].to_numpy(), sm.add_constant(rows[list(names)].to_numpy())
    given = spec.model.get("coefficients")
    p = expit(x @ given) if given else sm.GLM(y, x, sm.families.Binomial()).fit(tol=1e-14).fittedvalues
    calibration = sm.GLM(y, sm.add_constant(logit(p)), sm.families.Binomial()).fit(tol=1e-14)
    assert result.calibration is not None
    width = result.auc_bounds[1] - result.auc_bounds[0]
    area = roc_auc_score(y, p)
    assert result.auc_bounds[0] <= area <= result.auc_bounds[1]
    return [
        coefficients(result.auc, roc_auc_score(y, np.searchsorted(result.threshold, p)), "AUC, binned"),
        within(width / 2, "half of what the bins leave open, as the result says it", result.auc, area, "AUC"),
        coefficients(result.accuracy, accuracy_score(y, p > 0.5), "accuracy"),
        coefficients(result.log_loss, log_loss(y, p), "log loss"),
        within(1e-6, "absolute: 0 and 1 in truth", result.calibration.intercept, calibration.params[0], "intercept"),
        coefficients(result.calibration.slope, calibration.params[1], "calibration's slope"),
        coefficients(result.calibration.slope_se, calibration.bse[1], "its standard error"),
    ]


@case(
    CrossValidationSpec(dataset="lung", model=risk("lung"), bins=100, **PLAIN),
    CrossValidationSpec(dataset="breast-cancer", model=risk("breast-cancer"), bins=100, **PLAIN),
)
async def cross_validation(spec: CrossValidationSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    outcome, names, _ = RISK[spec.dataset]
    rows = sites.rows(spec, outcome, *names)
    y, x = rows[outcome].to_numpy(), sm.add_constant(rows[list(names)].to_numpy())
    p, fold = np.empty(len(y)), _folds(spec, rows, (*names, outcome))
    for number in range(spec.folds.of):
        model = sm.GLM(y[fold != number], x[fold != number], sm.families.Binomial()).fit(tol=1e-14)
        p[fold == number] = model.predict(x[fold == number])
    numbers = range(spec.folds.of)
    losses = [log_loss(y[fold == one], p[fold == one], labels=[0, 1]) for one in numbers]
    binned = np.searchsorted(result.threshold, p)
    return [
        coefficients([one.deviance / 2 for one in result.folds], losses, "log loss of each fold"),
        coefficients(result.log_loss, log_loss(y, p), "log loss"),
        coefficients(result.total.accuracy, accuracy_score(y, p > 0.5), "accuracy"),
        coefficients(result.total.auc, roc_auc_score(y, binned), "AUC, binned"),
        coefficients(
            [one.auc for one in result.folds],
            [roc_auc_score(y[fold == one], binned[fold == one]) for one in numbers],
            "AUC of each fold, binned",
        ),
    ]


@case(
    CrossValidationSpec(
        dataset="diabetes",
        model={
            "analysis": "glm",
            "formula": "target ~ bmi + bp",
            "numbers": [{"column": name, "low": -0.2, "high": 0.2} for name in ("bmi", "bp")]
            + [{"column": "target", "low": 0, "high": 400}],
        },
        **PLAIN,
    )
)
async def cross_validation_of_a_number(spec: CrossValidationSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, "target", "bmi", "bp")
    y, x = rows["target"].to_numpy(), sm.add_constant(rows[["bmi", "bp"]].to_numpy())
    fold, errors = _folds(spec, rows, ("bmi", "bp", "target")), []
    for number in range(spec.folds.of):
        model = sm.OLS(y[fold != number], x[fold != number]).fit()
        errors.append(mean_squared_error(y[fold == number], model.predict(x[fold == number])))
    return [coefficients([one.deviance for one in result.folds], errors, "mean squared error of each fold")]


def _folds(spec, rows, columns):
    """The fold of each row, by its values."""
    table = {name: rows[name].to_numpy() for name in columns}
    inside = [
        meets(Fold(columns=columns, of=spec.folds.of, folds=(number,), seed=spec.folds.seed), table)
        for number in range(spec.folds.of)
    ]
    return np.argmax(inside, axis=0)


CHAINS = 30
MONTE_CARLO = "Monte Carlo standard errors: imputations are draws, and there are few of them"


@case(
    ImputationSpec(
        dataset="lung",
        numbers=(AGE, Variable(column="wt.loss", low=-50, high=100), Variable(column="status", low=0, high=1)),
        gaps=(Gap(column="wt.loss"),),
        model={"analysis": "glm", "formula": "status ~ age + wt.loss", "family": "binomial"},
        imputations=4,
        iterations=1,
        **PLAIN,
    )
)
async def imputation_of_a_number(spec: ImputationSpec, sites: Sites) -> list[Agreement]:
    """scikit-learn's chained equations with draws from the posterior, many of them."""
    result = await spec.analyse(sites)
    rows = np.column_stack([sites.pooled()[name] for name in spec.columns])
    rows = rows[~np.isnan(rows[:, [0, 2]]).any(axis=1)]
    fits = []
    for seed in range(CHAINS):
        imputer = IterativeImputer(sample_posterior=True, random_state=seed, max_iter=1, tol=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # draws do not converge
            filled = imputer.fit_transform(rows)
        fits.append(sm.GLM(filled[:, 2], sm.add_constant(filled[:, :2]), sm.families.Binomial()).fit().params)
    assert result.imputed == {"wt.loss": np.count_nonzero(np.isnan(rows[:, 1]))}
    return [_pooled(result, np.array(fits))]


@case(
    ImputationSpec(
        dataset="diabetes-with-gaps",
        numbers=(
            Variable(column="bmi", low=-0.2, high=0.3),
            Variable(column="bp", low=-0.2, high=0.2),
            Variable(column="male", low=0, high=1),
            Variable(column="target", low=0, high=400),
        ),
        gaps=(Gap(column="bmi"), Gap(column="male", family="binomial")),
        model={"analysis": "glm", "formula": "target ~ bmi + bp + male"},
        imputations=3,
        iterations=2,
        **PLAIN,
    )
)
async def imputation_of_a_number_and_a_class(spec: ImputationSpec, sites: Sites) -> list[Agreement]:
    """Chained equations in the open, many of them, fitted by statsmodels."""
    result = await spec.analyse(sites)
    rows = np.column_stack([sites.pooled()[name] for name in spec.columns])
    gaps = np.isnan(rows)
    chance = np.random.default_rng(1)  # noqa: TID251 - an oracle of its own draws
    fits = []
    for _ in range(CHAINS):
        filled = np.where(gaps, np.nanmean(rows, axis=0).round(2), rows)
        filled[gaps[:, 2], 2] = 1.0
        for _ in range(3):
            _turn(filled, gaps, 0, sm.families.Gaussian(), chance)
            _turn(filled, gaps, 2, sm.families.Binomial(), chance)
        fits.append(sm.OLS(filled[:, 3], sm.add_constant(filled[:, :3])).fit().params)
    assert result.imputed == {"bmi": gaps[:, 0].sum(), "male": gaps[:, 2].sum()}
    return [_pooled(result, np.array(fits))]


def _turn(filled, gaps, which, family, chance) -> None:
    """Fill a column by its equation, with parameters from their posterior."""
    x = sm.add_constant(np.delete(filled, which, axis=1))
    lacks = gaps[:, which]
    fit = sm.GLM(filled[~lacks, which], x[~lacks], family).fit()
    normal = isinstance(family, sm.families.Gaussian)
    scale = fit.df_resid / chance.chisquare(fit.df_resid) if normal else 1.0
    eta = x[lacks] @ chance.multivariate_normal(fit.params, scale * fit.cov_params(), method="cholesky")
    if normal:
        filled[lacks, which] = eta + np.sqrt(scale * fit.scale) * chance.normal(size=len(eta))
    else:
        filled[lacks, which] = chance.random(len(eta)) < expit(eta)


def _pooled(result, fits) -> Agreement:
    spread = fits.std(axis=0, ddof=1) * np.sqrt(1 / len(result.fits) + 1 / len(fits))
    apart = (result.coef - fits.mean(axis=0)) / spread
    return within(4.0, MONTE_CARLO, apart, np.zeros(len(apart)), "pooled coefficients")
