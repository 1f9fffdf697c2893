"""The daemon's metrics of imports."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from participant.daemon.metrics import ImportMetrics
from participant.data.store.store import DatasetStore
from tests.support.tables import import_csv


def test_the_newest_import_of_each_dataset_is_exported(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "data")
    registry = CollectorRegistry()
    registry.register(ImportMetrics(store))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"secagg_participant_import_{name}", {"dataset": "t", **labels})

    assert value("timestamp_seconds") is None
    for text in ("a,b\n1,2\n", "a,b\n1,\n1,\n2,3\nx,4\n"):
        (tmp_path / "t.csv").write_text(text)
        import_csv(store, "t", tmp_path / "t.csv", columns={"a": {"type": "integer"}}, bad_rows=0.3)
    assert value("timestamp_seconds") == store.describe("t").imported_at.timestamp()
    assert (value("rows", outcome="stored"), value("rows", outcome="bad")) == (3, 1)
    assert (value("quality_ratio", metric="completeness"), value("quality_ratio", metric="validity")) == (
        0.666667,
        0.75,
    )
    assert value("quality_ratio", metric="uniqueness") == 0.75
    assert value("seconds", step="load") is not None
    (store.folder("t") / "quality.json").unlink()  # as imports of earlier releases
    assert (value("rows", outcome="stored"), value("quality_ratio", metric="validity")) == (3, None)
    (store.folder("t") / "description.json").write_text("{}")
    assert value("timestamp_seconds") is None
