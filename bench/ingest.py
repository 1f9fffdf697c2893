"""How much time and memory does an import take, and does its memory grow with the table?

A CSV file of 20 columns (integers, reals, words, dates, codes and gaps) goes through all steps of an import: names,
duplicates, types, validation, storing, verification, report. For comparison, pandas reads the same file, counts
duplicates, gaps and distinct values, and describes the numbers, but stores, verifies and draws nothing; polars
reads the file and writes it as Parquet, the least an import can do. Each has its own process, on one core. The ratio to
polars is that of processor times, measured in turn.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from bench.measure import Row, in_turn, in_words
from bench.workers.pipe import Worker

SMALL, LARGE = 1_000_000, 5_000_000
LIMIT = 1 << 30
TIMES_POLARS = 2.5
REPETITIONS = 2
_PIECE = 250_000


def rows() -> list[Row]:
    return measured(SMALL, LARGE)


def measured(small: int, large: int) -> list[Row]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "table.csv"
        done = {}
        for count in (small, large):
            write_table(table, count)
            for who in ("ours", "pandas", "polars"):
                with Worker("tables", POLARS_MAX_THREADS="1") as worker:
                    done[who, count] = worker(who, path=str(table), folder=str(folder / f"{who}-{count}"))
        size = table.stat().st_size / 1e6
        taken = in_turn(
            {who: partial(_cpu, who, table, folder) for who in ("ours", "polars")}, repetitions=REPETITIONS, warm=0
        )
    return [
        *(_memory(count, done["ours", count], done["pandas", count]) for count in (small, large)),
        _seconds(large, size, done["ours", large], done["pandas", large]),
        _ratio(large, taken["ours"], taken["polars"]),
    ]


def write_table(path: Path, count: int) -> None:
    """Write a table of 20 columns; the same number of rows always gives the same table."""
    draw = np.random.default_rng(count)  # noqa: TID251 - a table to measure with
    with path.open("wb") as file:
        for start in range(0, count, _PIECE):
            n = min(_PIECE, count - start)
            columns = {f"count_{j}": draw.integers(0, 10 ** (j + 1), n) for j in range(6)}
            columns |= {f"level_{j}": draw.normal(60, 10, n).round(3) for j in range(8)}
            columns |= {
                "sex": draw.choice(["m", "f"], n),
                "ward": draw.choice([f"ward {ward}" for ward in range(20)], n),
                "day": (np.datetime64("2010-01-01") + draw.integers(0, 5000, n)).astype(str),
                "died": draw.integers(0, 2, n),
                "code": np.char.zfill(draw.integers(0, 99_999, n).astype(str), 5),
                "patient": np.arange(start, start + n),
            }
            gaps = pl.Series(draw.random(n) < 0.1)
            frame = pl.DataFrame(columns).with_columns(
                pl.when(~gaps).then(pl.col("level_0")), pl.when(~gaps).then("ward")
            )
            frame.write_csv(file, include_header=start == 0)


def _memory(count: int, ours: dict[str, float], pandas: dict[str, float]) -> Row:
    above = ours["peak"] - ours["idle"]
    words = f"{above / 1e6:,.0f} MB (pandas {(pandas['peak'] - pandas['idle']) / 1e6:,.0f} MB)"
    figures = {"bytes": above, "pandas_bytes": pandas["peak"] - pandas["idle"]}
    name = f"import of {count:,} rows x 20 columns, peak memory above idle"
    return Row(name, f"<= {LIMIT >> 20:,} MiB", words, above <= LIMIT, figures)


def _seconds(count: int, size: float, ours: dict[str, float], pandas: dict[str, float]) -> Row:
    steps = ", ".join(f"{step} {in_words(seconds)}" for step, seconds in ours["steps"].items())  # type: ignore[attr-defined]
    words = f"{in_words(ours['seconds'])} ({steps}; pandas reads and counts in {in_words(pandas['seconds'])})"
    figures = {"ours_s": ours["seconds"], "theirs_s": pandas["seconds"], "steps": ours["steps"], "shown": ours["shown"]}
    return Row(f"import of {count:,} rows x 20 columns ({size:,.0f} MB), all steps", "", words, None, figures)


def _cpu(who: str, table: Path, folder: Path) -> float:
    """Return the processor time of one import, or of what it is compared to, in a process and a folder of its own."""
    with Worker("tables", POLARS_MAX_THREADS="1") as worker, TemporaryDirectory(dir=folder) as own:
        return float(worker(who, path=str(table), folder=f"{own}/{who}")["cpu"])


def _ratio(count: int, ours: float, polars: float) -> Row:
    times = ours / polars
    words = f"{times:.1f} times (processor time {in_words(ours)}, polars {in_words(polars)})"
    name = f"import of {count:,} rows x 20 columns, against polars' read_csv and write_parquet"
    return Row(
        name,
        f"<= {TIMES_POLARS} times",
        words,
        times <= TIMES_POLARS,
        {"times": times, "ours_s": ours, "theirs_s": polars},
    )
