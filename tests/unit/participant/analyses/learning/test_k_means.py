"""k-means over secure sums: edge cases. `tests/oracles` compares it with scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from participant.analyses.base.errors import EmptyClusterError, NoRowsError, SpecError
from participant.analyses.catalogue import parse_spec
from participant.analyses.learning.k_means import KMeansSpec
from tests.support.plain_sum import PlainSum
from tests.support.trials import split


def spec(**changes) -> KMeansSpec:
    document = {
        "analysis": "k-means",
        "dataset": "blobs",
        "variables": [{"column": "x", "low": -20, "high": 20}, {"column": "y", "low": -20, "high": 20}],
        "clusters": 4,
        "row_limit": 1000,
        "minimum_persons": 1,
    }
    return parse_spec(document | changes)


def blobs(**changes):
    centres = np.array([[-8, -8], [-8, 8], [8, -8], [8, 8]])
    given = {"n_samples": 400, "centers": centres, "cluster_std": 1.0, "random_state": 4} | changes
    x, label = make_blobs(**given)
    return {"x": x[:, 0], "y": x[:, 1], "label": label.astype(float)}


@pytest.mark.parametrize("seed", range(4))
async def test_clusters_that_are_apart_are_found_from_any_directions(seed: int) -> None:
    table = blobs()
    result = await spec(seed=seed).analyse(PlainSum(split(table, 9, 3), quantised=True))
    means = [[table[name][table["label"] == one].mean() for name in ("x", "y")] for one in range(4)]
    order = np.lexsort(result.centres.round().T)
    np.testing.assert_allclose(result.centres[order], np.array(means)[np.lexsort(np.round(means).T)], rtol=1e-9)
    assert result.counts.tolist() == [100] * 4
    assert result.explained > 0.95
    assert not result.warnings


async def test_a_cluster_that_only_one_site_has() -> None:
    table = blobs()
    where = np.where(table["label"] == 3, 0, 1 + np.arange(400) % 2)
    sites = {f"site-{k}": {name: column[where == k] for name, column in table.items()} for k in range(3)}
    result, pooled = await spec().analyse(PlainSum(sites)), await spec().analyse(PlainSum({"all": table}))
    np.testing.assert_allclose(result.centres, pooled.centres)


async def test_a_centre_without_rows_takes_half_of_another() -> None:
    far = ((-8.0, -8.0), (-8.0, 8.0), (20.0, -20.0), (19.0, -19.0))
    result = await spec(centres=far).analyse(PlainSum(split(blobs(), 3, 0)))
    assert (result.counts > 0).all()


async def test_fewer_different_rows_than_clusters_are_refused() -> None:
    table = {"x": np.repeat([1.0, 2.0, 5.0], 30), "y": np.repeat([1.0, 0.0, 5.0], 30)}
    result = await spec(clusters=3).analyse(PlainSum(split(table, 3, 0)))
    assert result.inertia == pytest.approx(0, abs=1e-9)
    with pytest.raises(EmptyClusterError, match="use fewer"):
        await spec().analyse(PlainSum(split(table, 3, 0)))


async def test_a_constant_column_keeps_its_scale_and_says_nothing() -> None:
    table = blobs() | {"same": np.full(400, 7.0)}
    variables = [one.model_dump() for one in spec().variables] + [{"column": "same", "low": 0, "high": 10}]
    with_it = await spec(variables=variables).analyse(PlainSum(split(table, 3, 0), quantised=True))
    without = await spec(seed=1).analyse(PlainSum(split(table, 3, 0), quantised=True))
    assert with_it.inertia == pytest.approx(without.inertia, rel=1e-9)
    np.testing.assert_allclose(with_it.centres[:, 2], 7.0)
    assert with_it.scale[2] == 1


async def test_no_centre_is_a_row_and_no_query_says_one() -> None:
    sums = PlainSum(split(blobs(), 3, 0))
    await spec(starts=2).analyse(sums)
    rows = np.column_stack([blobs()["x"], blobs()["y"]])
    for query in sums.queries[1:]:
        variables = query.params["variables"]
        units = [
            [z * one["scale"] + one["centre"] for z, one in zip(centre, variables, strict=True)]
            for centre in query.params["centres"]
        ]
        assert np.abs(np.array(units)[:, None] - rows).max(axis=2).min() > 1e-6


async def test_a_cluster_of_one_person_shows_nowhere() -> None:
    table = {"x": np.append(np.linspace(-1, 1, 99), 19.0), "y": np.append(np.linspace(1, -1, 99), 19.0)}
    sums = PlainSum(split(table, 3, 0))
    result = await spec(clusters=2, minimum_persons=5, centres=((0.0, 0.0), (19.0, 19.0))).analyse(sums)
    assert result.counts.min() >= 5
    assert np.abs(result.centres).max() < 2


async def test_a_site_with_a_small_cluster_hides_it_and_that_is_said() -> None:
    table = blobs()
    where = np.where((table["label"] == 3) & (np.arange(400) % 40 > 0), 1, np.arange(400) % 2)
    sites = {f"site-{k}": {name: column[where == k] for name, column in table.items()} for k in range(2)}
    result = await spec(minimum_persons=8).analyse(PlainSum(sites))
    assert "left out their whole table" in result.summary()


async def test_no_rows() -> None:
    with pytest.raises(NoRowsError):
        await spec(filter=[{"column": "x", "op": ">", "value": 99}]).analyse(PlainSum(split(blobs(), 3, 0)))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"centres": [[0, 0]]}, "one centre for each cluster"),
        (
            {"centres": [[0, 0]], "clusters": 1, "starts": 2},
            "when initial centres are given, the number of starts must be 1",
        ),
        ({"variables": [{"column": "x", "low": 0, "high": 1}] * 2}, "listed twice"),
    ],
)
def test_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        spec(**changes)
