"""Federated training over secure sums, compared with the same methods in plain numpy and with pooled training."""

import json
from uuid import uuid4

import numpy as np
import pytest
from scipy.special import expit
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, log_loss

from coordinator.journal.schema import TABLES
from coordinator.journal.tables import ReleasedSum, RunTables
from coordinator.report.text import as_facts
from coordinator.runs.lifecycle import RunOutcome
from participant.analyses.base.errors import AnalysisError, ConvergenceError, NoRowsError, SpecError
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.catalogue import parse_spec
from participant.analyses.learning.federated_training import FederatedTrainingSpec, TrainedModel
from participant.statistics.evaluation.bound import bind
from participant.statistics.language.conditions import Fold, meets
from relay.party.journal import Journal
from tests.support.plain_sum import PlainSum
from tests.support.trials import gbsg2, split, take

COVARIATES = ("radius", "texture", "smoothness", "concavity", "symmetry")
SGD = {"loss": "log_loss", "epochs": 2, "rate": 0.01, "penalty": 1e-4, "proximal": 0.0, "seed": 5}
DESCENT = {"steps": 3, "rate": 0.3, "penalty": 0.01, "proximal": 0.0}


def cancer():
    data = load_breast_cancer()
    chosen = [list(data.feature_names).index(f"mean {name}") for name in COVARIATES]
    x = (data.data[:, chosen] - data.data[:, chosen].mean(axis=0)) / data.data[:, chosen].std(axis=0)
    return dict(zip(COVARIATES, x.T, strict=True)) | {"malignant": 1.0 - data.target}


def spec(**changes) -> FederatedTrainingSpec:
    document = {
        "analysis": "federated-training",
        "dataset": "cancer",
        "formula": f"malignant ~ {' + '.join(COVARIATES)} - 1",
        "numbers": [
            *({"column": name, "low": -10, "high": 10} for name in COVARIATES),
            {"column": "malignant", "low": 0, "high": 1},
        ],
        "trainer": "sklearn-sgd",
        "settings": SGD,
        "rounds": 6,
        "row_limit": 1000,
    }
    return parse_spec(document | changes)


def descent(**changes) -> FederatedTrainingSpec:
    formula = f"malignant ~ {' + '.join(COVARIATES)}"
    return spec(trainer="logistic-regression", settings=DESCENT, formula=formula, **changes)


def matrix(table, *, intercept: bool):
    columns = [table[name] for name in COVARIATES]
    return np.column_stack(([np.ones_like(columns[0])] if intercept else []) + columns)


def sgd(w, table):
    model = SGDClassifier(alpha=1e-4, learning_rate="constant", eta0=0.01, random_state=5, loss="log_loss")
    model.coef_, model.intercept_, model.classes_ = w[np.newaxis, :-1].copy(), w[-1:].copy(), np.array([0, 1])
    model.t_ = 1.0
    for _ in range(2):
        model.partial_fit(matrix(table, intercept=False), table["malignant"].astype(int), classes=[0, 1])
    return np.append(model.coef_[0], model.intercept_)


def gradient_steps(w, table, proximal=0.0):
    x, at = matrix(table, intercept=True), w
    for _ in range(3):
        gradient = x.T @ (expit(x @ at) - table["malignant"]) / len(x)
        at = at - 0.3 * (gradient + 0.01 * at + proximal * (at - w))
    return at


def linear(w, table, kind):
    return matrix(table, intercept=True) @ w if kind == "descent" else matrix(table, intercept=False) @ w[:-1] + w[-1]


def plain(sites, rounds, local, server, kind):
    """FedAvg and its kin in the open: losses at the start of each round, and the last weights."""
    w, losses, memory = np.zeros(6), [], {}
    rows = np.array([len(site["malignant"]) for site in sites])
    y = np.concatenate([site["malignant"] for site in sites])
    for _ in range(rounds):
        eta = np.concatenate([linear(w, site, kind) for site in sites])
        losses.append(log_loss(y, expit(eta)))
        w = w + server(rows @ np.array([local(w, site) - w for site in sites]) / rows.sum(), memory)
    return np.array(losses), w


def adam(update, memory):
    memory["m"] = 0.9 * memory.get("m", 0.0) + 0.1 * update
    memory["v"] = 0.99 * memory.get("v", 0.0) + 0.01 * update**2
    return 0.05 * memory["m"] / (np.sqrt(memory["v"]) + 1e-3)


@pytest.mark.parametrize("parts", [1, 3, 9])
@pytest.mark.parametrize(
    ("asked", "local", "server", "kind"),
    [
        (spec(), sgd, lambda update, _: update, "sgd"),
        (descent(), gradient_steps, lambda update, _: update, "descent"),
        (descent(rate=0.5), gradient_steps, lambda update, _: 0.5 * update, "descent"),
        (
            descent(method="fedprox", proximal=0.7),
            lambda w, table: gradient_steps(w, table, 0.7),
            lambda update, _: update,
            "descent",
        ),
        (descent(method="fedadam", rate=0.05), gradient_steps, adam, "descent"),
    ],
    ids=["fedavg-sklearn", "fedavg", "half-rate", "fedprox", "fedadam"],
)
async def test_the_loss_curve_is_that_of_the_plain_method(asked, local, server, kind, parts: int) -> None:
    sites = {name: site for name, site in split(cancer(), parts, 3).items() if len(site["malignant"])}
    exact = asked.model_copy(update={"minimum_persons": 1})  # without the rounding of small counts of errors
    result = await exact.analyse(PlainSum(sites, quantised=True))
    losses, weights = plain(list(sites.values()), 6, local, server, kind)
    np.testing.assert_allclose([one.loss for one in result.rounds], losses, rtol=1e-9)
    np.testing.assert_allclose(result.weights, weights, rtol=1e-8, atol=1e-10)
    eta = np.concatenate([linear(weights, site, kind) for site in sites.values()])
    y = np.concatenate([site["malignant"] for site in sites.values()])
    assert result.assessed.loss == pytest.approx(log_loss(y, expit(eta)), rel=1e-9)
    assert result.assessed.accuracy == accuracy_score(y, eta > 0) > 0.75
    assert (result.assessed.rows, result.warnings) == (569, ())


@pytest.mark.parametrize("value_bits", [16, 24, 40])
async def test_the_loss_curve_leaves_the_plain_one_by_quantisation_alone(value_bits: int) -> None:
    """Local steps below the curvature's inverse never push two models apart, so the noise of the rounds adds up and no
    more: after r rounds weights differ by r times that of one round, and the loss by that times its steepest slope.
    """
    sites, rounds, clip = split(cancer(), 9, 3), 8, 4.0
    asked = descent(rounds=rounds, clip=clip, value_bits=value_bits)
    result = await asked.analyse(PlainSum(sites, quantised=True))
    losses, _ = plain(list(sites.values()), rounds, gradient_steps, lambda update, _: update, "descent")
    (training,) = {bind(query).layout for query in (await _queries(asked, sites))[:1]}
    step = training.steps(value_bits)
    noise = np.sqrt(6) * 9 / 2 * step["update"][0] / 569
    slope = np.linalg.norm(matrix(cancer(), intercept=True), axis=1).mean()
    difference = np.abs(np.array([one.loss for one in result.rounds]) - losses)
    bound = np.arange(rounds) * noise * slope + 9 / 2 * step["loss"] / 569
    assert (difference <= bound + 1e-12).all()
    assert bound.max() < 0.3 * 2.0 ** (16 - value_bits) * 10


async def _queries(asked, sites):
    secure_sum = PlainSum(sites)
    await asked.analyse(secure_sum)
    return secure_sum.queries


async def test_the_trained_model_approaches_the_pooled_fit_of_a_second_trial() -> None:
    """One step of each site a round is gradient descent on all rows: its limit is the pooled logistic regression."""
    table = gbsg2()
    table = {name: (table[name] - table[name].mean()) / table[name].std() for name in ("age", "tsize", "progrec")} | {
        "cens": table["cens"]
    }
    document = {
        "analysis": "federated-training",
        "dataset": "gbsg2",
        "formula": "cens ~ age + tsize + progrec",
        "numbers": [{"column": name, "low": -20, "high": 20} for name in ("age", "tsize", "progrec")]
        + [{"column": "cens", "low": 0, "high": 1}],
        "trainer": "logistic-regression",
        "settings": {"steps": 1, "rate": 2.0, "penalty": 0.0, "proximal": 0.0},
        "rounds": 100,
        "row_limit": 1000,
    }
    result = await parse_spec(document).analyse(PlainSum(split(table, 9, 2), quantised=True, lost=[set(), {"site-4"}]))
    left = {name: np.concatenate([v[name] for k, v in split(table, 9, 2).items() if k != "site-4"]) for name in table}
    x, w = np.column_stack([np.ones(len(left["cens"])), left["age"], left["tsize"], left["progrec"]]), np.zeros(4)
    for _ in range(20):
        m = expit(x @ w)
        w = w + np.linalg.solve((x.T * (m * (1 - m))) @ x, x.T @ (left["cens"] - m))
    np.testing.assert_allclose(result.weights, w, atol=1e-6)
    assert "site-4" not in result.sites
    assert (result.rounds[0].rows, result.rounds[1].rows) == (686, len(left["cens"]))


async def test_rows_that_are_held_out_assess_and_do_not_train() -> None:
    asked = spec(held_out={"of": 4, "seed": 1})
    result = await asked.analyse(PlainSum(split(cancer(), 3, 0), quantised=True))
    fold = Fold(columns=(*COVARIATES, "malignant"), of=4, folds=(0,), seed=1)
    held = meets(fold, cancer())
    assert (result.rounds[0].rows, result.assessed.rows) == ((~held).sum(), held.sum())
    eta = linear(result.weights, take(cancer(), held), "sgd")
    assert result.assessed.loss == pytest.approx(log_loss(cancer()["malignant"][held], expit(eta)), rel=1e-9)
    assert "held-out rows" in result.summary()


async def test_a_model_is_not_lost_where_too_few_rows_were_held_out() -> None:
    result = await spec(held_out={"of": 20}, minimum_persons=20, rounds=2).analyse(PlainSum(split(cancer(), 9, 0)))
    assert result.assessed is None
    assert "not assessed for too few rows: the held-out rows" in result.summary()
    assert len(result.table()) == 2


async def test_training_stops_where_the_loss_settles() -> None:
    result = await descent(rounds=200, tolerance=0.01).analyse(PlainSum(split(cancer(), 3, 0)))
    assert 3 < len(result.rounds) < 100
    assert result.rounds[-1].loss >= 0.99 * result.rounds[-2].loss


async def test_a_saved_model_is_the_start_of_another_run(tmp_path) -> None:
    sites = split(cancer(), 3, 0)
    whole = await spec().analyse(PlainSum(sites))
    half = await spec(rounds=3).analyse(PlainSum(sites))
    half.model.write(tmp_path / "model.json")
    printed = as_facts(uuid4(), RunOutcome((half,), (), {}))
    (tmp_path / "result.json").write_text(json.dumps(printed["results"][0]))
    for name in ("model.json", "result.json"):
        start = {"kind": "file", "path": str(tmp_path / name)}
        asked = spec(rounds=3, start=start)
        (tmp_path / name).unlink()  # the run has the weights, not the path
        rest = await asked.analyse(PlainSum(sites))
        np.testing.assert_array_equal(rest.weights, whole.weights)
        assert [one.loss for one in half.rounds + rest.rounds] == [one.loss for one in whole.rounds]
    assert TrainedModel.model_validate_json(half.model.model_dump_json()) == half.model


async def test_training_that_is_cut_off_goes_on_from_the_sums_in_the_journal(tmp_path) -> None:
    sites, run = split(cancer(), 3, 0), uuid4()
    whole = await spec(method="fedadam", rate=0.1).analyse(PlainSum(sites))
    for left in (3, 100):
        journal = Journal(tmp_path, TABLES)
        asked = Journalled(PlainSum(sites), journal, run, left)
        try:
            result = await spec(method="fedadam", rate=0.1).analyse(asked)
        except CutOffError:
            continue
        finally:
            journal.close()
    assert len(asked.sums.queries) == 7 - 3
    np.testing.assert_array_equal(result.weights, whole.weights)
    assert result.rounds == whole.rounds


class CutOffError(Exception):
    pass


class Journalled(SecureSum):
    """Sums that a journal keeps, as a run's; after `left` new ones the process is gone."""

    def __init__(self, sums: PlainSum, journal: Journal, run, left: int) -> None:
        self.sums, self.journal, self.left, self.position = sums, journal, left, 0
        self.tables = RunTables(journal.connection, run)
        self.value_bits = sums.value_bits

    async def __call__(self, query) -> Sum:
        self.position += 1
        known = self.tables.answer(self.position, query.encode())
        if known is None:
            if not self.left:
                raise CutOffError
            self.left -= 1
            answer = await self.sums(query)
            known = ReleasedSum(1, 64, answer.sites, query.layout.flatten(answer.values))
            with self.journal.transaction():
                self.tables.enter(self.position, query.encode(), known)
        return Sum(query.layout.unflatten(known.total), known.survivors)


async def test_what_was_cut_or_failed_is_said() -> None:
    sites = split(cancer(), 3, 0)
    cut = await spec(clip=0.01, rounds=2).analyse(PlainSum(sites))
    assert "round 1: the updates of 3 sites exceeded `clip` and were clipped" in cut.summary()
    sites["site-0"] = {name: column * 1e300 for name, column in sites["site-0"].items()}
    wild = DESCENT | {"rate": 1e308, "steps": 9}
    with pytest.raises(ConvergenceError, match="failed at all 2 sites"):  # one row dominates the sums of the first
        await descent().model_copy(update={"settings": wild}).analyse(PlainSum(sites))


async def test_a_network_in_pytorch_is_trained() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed; its trainer needs it")
    settings = {"hidden": 4, "epochs": 3, "batch": 64, "rate": 0.02, "proximal": 0.0, "seed": 1}
    asked = spec(trainer="torch-mlp", settings=settings, start={"kind": "drawn", "scale": 0.5, "seed": 2})
    result = await asked.analyse(PlainSum(split(cancer(), 3, 0), quantised=True))
    again = await asked.analyse(PlainSum(split(cancer(), 3, 0), quantised=True))
    assert result.assessed.loss < result.rounds[0].loss / 2
    assert result.assessed.accuracy > 0.9
    np.testing.assert_array_equal(result.weights, again.weights)


@pytest.mark.parametrize(
    ("changes", "error", "complaint"),
    [
        ({"proximal": 0.1}, SpecError, "proximal must be above 0 for fedprox"),
        ({"method": "fedprox"}, SpecError, "proximal must be above 0 for fedprox"),
        ({"start": {"kind": "file", "path": "/nowhere/model.json"}}, SpecError, "cannot be read"),
        ({"start": {"kind": "file"}}, SpecError, "start.file.path is missing"),
        ({"trainer": "their-own"}, SpecError, "give the number of weights as size"),
        ({"settings": {"epochs": 1}}, SpecError, "settings of sklearn-sgd are invalid"),
        ({"filter": [{"column": "radius", "op": ">", "value": 99}]}, NoRowsError, "no row"),
        (
            {"start": {"kind": "model", "trainer": "x", "settings": {}, "names": ["a"], "weights": [1]}},
            SpecError,
            "trained with x on other covariates: a",
        ),
        (
            {
                "start": {
                    "kind": "model",
                    "trainer": "sklearn-sgd",
                    "settings": {},
                    "names": list(COVARIATES),
                    "weights": [1],
                }
            },
            SpecError,
            "has 1 weights; this one needs 6",
        ),
    ],
)
async def test_refused(changes: dict, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint) as caught:
        await spec(**changes).analyse(PlainSum(split(cancer(), 3, 0)))
    assert isinstance(caught.value, (AnalysisError, SpecError))


def test_a_file_that_holds_no_model_is_refused(tmp_path) -> None:
    (tmp_path / "model.json").write_text("[1]")
    with pytest.raises(SpecError, match="holds no model"):
        TrainedModel.read(tmp_path / "model.json")
