"""Trainers: installed locally and chosen by name, never sent; their updates equal those of plain training."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.registry import TRAINING
from participant.statistics.language.query import QueryError
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.trainer import NoTrainerError, installed, trainer
from tests.support.trials import split

DESCENT = {"steps": 1, "rate": 1.0, "penalty": 0.0, "proximal": 0.0}


def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    columns = {f"x{i}": (x[:, i] - x[:, i].mean()) / x[:, i].std() for i in range(5)}
    return columns | {"y": y.astype(np.float64)}


FEATURES = tuple((Numeric(column=f"x{i}", low=-10, high=10),) for i in range(5))


def params(name: str, settings: dict, weights, *, intercept: bool = True, **changes):
    given = {
        "trainer": name,
        "purpose": "train",
        "settings": settings,
        "design": Design(terms=((), *FEATURES) if intercept else FEATURES),
        "outcome": Numeric(column="y", low=0, high=1),
        "weights": tuple(np.asarray(weights, float).tolist()),
        "clip": 100.0,
        "loss_limit": 50.0,
        "row_limit": 1000,
    }
    return TRAINING.Params(**given | changes)


def answer(asked, table):
    query = TRAINING.query(asked, dataset="d", value_bits=50)
    return bind(query).layout.unflatten(evaluate(bind(query), table))


def test_trainers_are_installed_as_entry_points() -> None:
    assert {"linear-regression", "logistic-regression", "sklearn-sgd", "torch-mlp"} <= set(installed())
    with pytest.raises(
        NoTrainerError, match="the trainer evil is not installed here; installed are: linear-regression"
    ):
        trainer("evil")


@pytest.mark.parametrize("name", ["linear-regression", "logistic-regression"])
def test_one_step_at_the_rate_one_is_the_pooled_gradient(name: str) -> None:
    table, weights = cancer(), np.array([0.3, -0.2, 0.1, 0.4, -0.5, 0.2])
    parts = [answer(params(name, DESCENT, weights), site) for site in split(table, 3, 5).values()]
    total = {block: sum(part[block] for part in parts) for block in parts[0]}
    x = np.column_stack([np.ones(len(table["y"])), *(table[f"x{i}"] for i in range(5))])
    mean = x @ weights if name == "linear-regression" else 1 / (1 + np.exp(-x @ weights))
    np.testing.assert_allclose(total["update"], x.T @ (table["y"] - mean), rtol=1e-10)
    likelihood = table["y"] * np.log(mean) + (1 - table["y"]) * np.log(1 - mean) if name[1] == "o" else 0
    loss = ((table["y"] - mean) ** 2 / 2).sum() if name == "linear-regression" else -np.sum(likelihood)
    np.testing.assert_allclose(total["loss"], loss, rtol=1e-10)
    assert (total["rows"], total["failed"]) == (569, 0)
    right = np.count_nonzero((mean > 0.5) == (table["y"] > 0.5))
    assert (total["classified"], total["correct"]) == ((569, right) if name[1] == "o" else (0, 0))
    only = [answer(params(name, DESCENT, weights, purpose="assess"), site) for site in split(table, 3, 5).values()]
    assert [one["loss"] for one in only] == [part["loss"] for part in parts]
    assert [one["correct"] for one in only] == [part["correct"] for part in parts]
    assert not any(one["update"].size for one in only)


def test_federated_averaging_with_scikit_learn_learns() -> None:
    sites, weights, losses = list(split(cancer(), 3, 1).values()), np.zeros(6), []
    settings = {"loss": "log_loss", "epochs": 2, "rate": 0.02, "penalty": 1e-4, "proximal": 0.0, "seed": 3}
    for _ in range(4):
        parts = [answer(params("sklearn-sgd", settings, weights, intercept=False), site) for site in sites]
        again = answer(params("sklearn-sgd", settings, weights, intercept=False), sites[0])
        np.testing.assert_array_equal(again["update"], parts[0]["update"])
        rows = sum(part["rows"] for part in parts)
        losses.append(float(sum(part["loss"] for part in parts) / rows))
        weights = weights + sum(part["update"] for part in parts) / rows
    assert losses[0] == pytest.approx(np.log(2))
    assert losses[-1] < 0.25


FAR = {
    "logistic-regression": {"steps": 200, "rate": 0.5, "penalty": 0.0},
    "sklearn-sgd": {"loss": "log_loss", "epochs": 9, "rate": 0.005, "penalty": 0.0, "seed": 3},
    "torch-mlp": {"hidden": 1, "epochs": 40, "batch": 64, "rate": 0.02, "seed": 1},
}


@pytest.mark.parametrize("name", FAR)
def test_a_proximal_term_keeps_a_site_near_the_model_it_was_given(name: str) -> None:
    if name == "torch-mlp":
        pytest.importorskip("torch", reason="PyTorch is not installed; its trainer needs it")
    weights = np.linspace(-0.2, 0.2, {"torch-mlp": 8}.get(name, 6))
    far, near = (
        answer(params(name, FAR[name] | {"proximal": mu}, weights, intercept=name[0] == "l"), cancer())
        for mu in (0.0, 1.0)
    )
    assert 0 < np.linalg.norm(near["update"]) < np.linalg.norm(far["update"]) / 2


def test_an_update_is_cut_to_the_clip_in_its_direction() -> None:
    weights = np.array([3.0, -2.0, 1.0, 4.0, -5.0, 2.0])
    whole, cut = (answer(params("linear-regression", DESCENT, weights, clip=clip), cancer()) for clip in (1e3, 0.5))
    assert np.linalg.norm(cut["update"]) / cut["rows"] == pytest.approx(0.5)
    assert (whole["cut"], cut["cut"]) == (0, 1)
    np.testing.assert_allclose(
        cut["update"] / np.linalg.norm(cut["update"]), whole["update"] / np.linalg.norm(whole["update"])
    )


def test_training_that_diverges_is_counted_and_leaves_nothing() -> None:
    result = answer(params("linear-regression", DESCENT | {"steps": 5000, "rate": 1e6}, np.ones(6)), cancer())
    assert result.pop("failed") == 1
    assert not any(block.any() for block in result.values())


def test_no_rows_give_zeros() -> None:
    empty = {name: column[:0] for name, column in cancer().items()}
    assert not any(block.any() for block in answer(params("linear-regression", DESCENT, np.ones(6)), empty).values())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"trainer": "unheard-of"}, "the trainer unheard-of is not installed"),
        ({"settings": {"steps": 1}}, "settings of the trainer linear-regression are invalid"),
        ({"weights": (1.0,)}, "has 6 weights, but the query gives 1"),
    ],
)
def test_refused(changes: dict, complaint: str) -> None:
    with pytest.raises((QueryError, NoTrainerError), match=complaint):
        answer(params("linear-regression", DESCENT, np.ones(6)).model_copy(update=changes), cancer())


def test_a_network_in_pytorch() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed; its trainer needs it")
    settings = {"hidden": 4, "epochs": 20, "batch": 64, "rate": 0.02, "proximal": 0.0, "seed": 1}
    rng = np.random.default_rng(2)  # noqa: TID251 - first weights
    weights = rng.normal(0, 0.5, trainer("torch-mlp").size(5, trainer("torch-mlp").Settings(**settings)))
    first = answer(params("torch-mlp", settings, weights, intercept=False), cancer())
    after = answer(params("torch-mlp", settings, weights + first["update"] / first["rows"], intercept=False), cancer())
    assert after["loss"] < first["loss"] / 2
