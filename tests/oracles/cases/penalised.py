"""Ridge, lasso and principal components, compared with scikit-learn."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import Lasso, LassoLarsIC, Ridge
from sklearn.preprocessing import StandardScaler

from participant.analyses.learning.pca import PcaSpec
from participant.analyses.regression.lasso import LassoSpec
from participant.analyses.regression.penalised import PenalisedSpec
from participant.analyses.regression.ridge import RidgeSpec
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients
from tests.oracles.data import TABLES

MODELS = {
    "diabetes": ("target", ("age", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")),
    "breast-cancer": (
        "mean_radius",
        ("mean_texture", "mean_smoothness", "mean_concavity", "mean_symmetry", "area_error"),
    ),
    "gbsg2": ("tsize", ("age", "menostat", "tgrade", "pnodes", "progrec", "estrec")),
}


def declared(dataset: str, columns: tuple[str, ...]) -> tuple[Variable, ...]:
    table = TABLES[dataset]()
    return tuple(Variable(column=name, low=table[name].min(), high=table[name].max()) for name in columns)


def models(of: type, **changes) -> list[PenalisedSpec]:
    return [
        of(
            dataset=dataset,
            formula=f"{outcome} ~ {' + '.join(covariates)}",
            numbers=declared(dataset, (outcome, *covariates)),
            row_limit=1000,
            minimum_persons=1,
            **changes,
        )
        for dataset, (outcome, covariates) in MODELS.items()
    ]


def rows_of(spec: PenalisedSpec, sites: Sites) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return outcome, covariates, and the covariates as the model takes them."""
    outcome, covariates = MODELS[spec.dataset]
    rows = sites.rows(spec, outcome, *covariates)
    x = rows[list(covariates)].to_numpy()
    return rows[outcome].to_numpy(), x, StandardScaler().fit_transform(x) if spec.standardise else x


@case(*models(RidgeSpec), *models(RidgeSpec, standardise=False, penalties=(0.01, 1.0, 300.0)))
async def ridge(spec: RidgeSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    y, x, z = rows_of(spec, sites)
    oracles = [Ridge(penalty, solver="svd").fit(z, y) for penalty in result.penalties]
    scale = x.std(axis=0) if spec.standardise else np.ones(x.shape[1])
    fit = oracles[result.best]
    intercept = fit.intercept_ - (x.mean(axis=0) @ (fit.coef_ / scale) if spec.standardise else 0.0)
    centred = z - z.mean(axis=0)
    hat = centred @ np.linalg.solve(centred.T @ centred + result.penalty * np.eye(z.shape[1]), centred.T) + 1 / len(y)
    gcv = np.mean((y - hat @ y) ** 2) / (1 - np.trace(hat) / len(y)) ** 2
    return [
        coefficients(result.path, [oracle.coef_ / scale for oracle in oracles]),
        coefficients(result.intercept, intercept, "intercept"),
        coefficients(result.r_squared[result.best], fit.score(z, y), "R-squared"),
        coefficients(result.gcv[result.best], gcv, "generalised cross-validation"),
    ]


@case(*models(LassoSpec), *models(LassoSpec, standardise=False))
async def lasso(spec: LassoSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    y, x, z = rows_of(spec, sites)
    scale = x.std(axis=0) if spec.standardise else np.ones(x.shape[1])
    some = range(1, len(result.penalties), 11)
    oracles = [Lasso(result.penalties[k], tol=1e-13, max_iter=10**6).fit(z, y) for k in some]
    residual = np.array([((y - oracle.predict(z)) ** 2).sum() for oracle in oracles])
    kept = np.array([np.count_nonzero(oracle.coef_) for oracle in oracles])
    variance = LassoLarsIC(criterion="bic").fit(z, y).noise_variance_
    bic = len(y) * np.log(2 * np.pi * variance) + residual / variance + np.log(len(y)) * kept
    return [
        coefficients(result.path[some], [oracle.coef_ / scale for oracle in oracles]),
        coefficients(result.r_squared[some], [oracle.score(z, y) for oracle in oracles], "R-squared"),
        coefficients(result.bic[some], bic, "BIC"),
    ]


VARIABLES = {
    "wine": tuple(name for name in TABLES["wine"]() if name != "target" and "/" not in name),
    "breast-cancer": tuple(name for name in TABLES["breast-cancer"]() if name.startswith("mean_")),
    "diabetes": ("age", "bmi", "bp", "s1", "s3", "s5"),
}


def components(dataset: str, **changes) -> PcaSpec:
    variables = declared(dataset, VARIABLES[dataset])
    return PcaSpec(dataset=dataset, variables=variables, row_limit=1000, minimum_persons=1, **changes)


@case(
    *map(components, VARIABLES), components("wine", standardise=False), components("breast-cancer", standardise=False)
)
async def pca(spec: PcaSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, *VARIABLES[spec.dataset])
    oracle = PCA(svd_solver="full").fit((rows - rows.mean()) / rows.std() if spec.standardise else rows)
    which = "correlation" if spec.standardise else "covariance"
    return [
        coefficients(result.variance, oracle.explained_variance_, f"variances, {which}"),
        coefficients(result.loadings, oracle.components_, f"loadings, {which}"),
    ]
