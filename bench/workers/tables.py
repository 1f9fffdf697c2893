"""Imports a table, or reads it with pandas or polars, and reports the time and memory used."""

from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from bench.workers.pipe import serve


def ours(path: str, folder: str) -> dict[str, Any]:
    """Import through the steps of `data import`, counting its progress instead of showing it."""
    from participant.data.pipeline.importing import import_table  # noqa: PLC0415
    from participant.data.report import html  # noqa: F401, PLC0415
    from participant.data.sources.csv import CsvSource  # noqa: PLC0415
    from participant.data.store.store import DatasetStore  # noqa: PLC0415 - loaded before the clock starts, by this worker alone

    shown: list[tuple[Any, ...]] = []
    idle, start, cpu = _peak(), perf_counter(), process_time()
    store = DatasetStore(Path(folder))
    done = import_table(
        store, "table", CsvSource(Path(path)), imported_at=datetime.now(UTC), show=lambda *what: shown.append(what)
    )
    taken = {"seconds": perf_counter() - start, "cpu": process_time() - cpu}
    return taken | {"idle": idle, "peak": _peak(), "steps": dict(done.facts.seconds), "shown": len(shown)}


def polars(path: str, folder: str) -> dict[str, Any]:
    """Read and write the table, and nothing else."""
    import polars as pl  # noqa: PLC0415

    idle, start, cpu = _peak(), perf_counter(), process_time()
    pl.read_csv(path).write_parquet(f"{folder}.parquet")
    return {"seconds": perf_counter() - start, "cpu": process_time() - cpu, "idle": idle, "peak": _peak()}


def pandas(path: str, folder: str) -> dict[str, Any]:
    """Read the table, and compute the counts that a report needs."""
    del folder  # unused: storing would need pyarrow
    import pandas as pd  # noqa: PLC0415

    idle, start = _peak(), perf_counter()
    table = pd.read_csv(path)
    table.duplicated().sum()
    table.isna().sum()
    table.nunique()
    table.describe()
    return {"seconds": perf_counter() - start, "idle": idle, "peak": _peak()}


def _peak() -> int:
    """Return the peak of this process alone; `ru_maxrss` begins with that of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    serve({"ours": ours, "pandas": pandas, "polars": polars})
