"""Rows of two versions of a dataset are matched by their contents."""

from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from participant.data.store.matching import matched, pair


@given(old=st.lists(st.integers(0, 5), max_size=20), new=st.lists(st.integers(0, 5), max_size=20))
def test_equal_values_are_paired_one_to_one_and_as_many_as_there_are(old: list[int], new: list[int]) -> None:
    found = pair(np.array(old, np.uint64), np.array(new, np.uint64)).tolist()
    taken = [at for at in found if at >= 0]
    assert len(set(taken)) == len(taken)
    assert all(old[at] == value for at, value in zip(found, new, strict=True) if at >= 0)
    assert len(taken) == sum(min(old.count(value), new.count(value)) for value in set(old))


def test_a_row_is_the_same_if_all_its_columns_are_whatever_their_types(tmp_path: Path) -> None:
    before = pl.DataFrame({"age": [40, 41, None, 43], "ward": ["n", "s", "s", None], "seen": [True, False, True, None]})
    after = pl.DataFrame(
        {"seen": [None, True, False, True], "age": [43.0, None, 41.0, 40.5], "ward": [None, "s", "s", "n"]}
    )
    before.write_parquet(tmp_path / "1.parquet")
    after.write_parquet(tmp_path / "2.parquet")
    found = matched(tmp_path / "1.parquet", tmp_path / "2.parquet", ["age", "seen", "ward"])
    assert found.tolist() == [3, 2, 1, -1]
    assert matched(tmp_path / "1.parquet", tmp_path / "2.parquet", ["ward"]).tolist() == [3, 1, 2, 0]
    assert matched(tmp_path / "1.parquet", tmp_path / "2.parquet", []).tolist() == [-1] * 4


def test_rows_keep_their_numbers_in_large_tables(tmp_path: Path) -> None:
    rows = 300_000
    numbers = np.arange(rows)
    pl.DataFrame({"x": numbers}).write_parquet(tmp_path / "1.parquet", row_group_size=10_000)
    pl.DataFrame({"x": numbers[::-1]}).write_parquet(tmp_path / "2.parquet", row_group_size=7_000)
    assert (matched(tmp_path / "1.parquet", tmp_path / "2.parquet", ["x"]) == numbers[::-1]).all()
