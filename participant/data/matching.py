"""Which rows of two versions of a dataset are the same: by their contents, since a row has no other name."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

_ROW, _NTH = "#row", "#nth"  # no column's name: those begin with a letter


def matched(old: Path, new: Path, columns: Sequence[str]) -> NDArray[np.int64]:
    """Return for each row of the new table the number of the old row with the same contents, or -1.

    Rows that occur several times are matched one to one, in their order.

    Args:
        old, new: Parquet files.
        columns: that both have, to compare.

    Returns:
        (rows of the new table,) int64.
    """
    given, wanted = (_numbered(path, columns) for path in (new, old))
    if not columns:
        return np.full(given.height, -1, np.int64)
    found = given.join(wanted, on=[*columns, _NTH], how="left", nulls_equal=True, suffix="_old").sort(_ROW)
    return found[f"{_ROW}_old"].fill_null(-1).cast(pl.Int64).to_numpy().astype(np.int64)


def _numbered(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    table = pl.read_parquet(BytesIO(path.read_bytes()), columns=[*columns])
    # A later import may have found another type for the same values.
    same = [pl.col(name).cast(pl.Float64 if kind.is_numeric() else pl.String) for name, kind in table.schema.items()]
    return (
        table.with_columns(same)
        .with_row_index(_ROW)
        .with_columns(pl.int_range(pl.len()).over(list(columns)).alias(_NTH) if columns else pl.lit(0).alias(_NTH))
    )
