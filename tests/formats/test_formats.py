"""Tables in the formats of many programs: each is read without loss, or the report names the differences."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from participant.data.pipeline.importing import import_table
from participant.data.sources import TableSource
from participant.data.sources.choose import open_source
from participant.data.store.store import DatasetStore
from tests.formats import r_writers
from tests.formats.writers import WRITERS, Writer
from tests.support.tables import NOW

TABLES = {
    "doubles": {"x": [0.1, -2.5, 1e-3, 123456.789, 3.0], "y": [1 / 3, 2 / 3, 0.1 + 0.2, 1e-12, -7.25]},
    "tiny and huge": {"x": [1.52e-11, 1e15 / 7, 1e-30, -1e30, 2.5e60], "n": [1, 2, 3, 4, 5]},
    "three decimals": {"crea": [0.875, 1.12, 0.934], "egfr": [90.125, 61.5, 77.25]},
    "in doubt": {"x": [1.234, 2.345, 3.456], "y": [1, 2, 3]},
    "whole numbers": {"a": [0, 1, -1], "b": [2**31, -(2**31), 2**40], "c": [99_999, 100_000, 1_234_567]},
    "gaps": {"x": [None, 1.5, None, 2.5], "n": [1, None, 3, 4], "s": [None, "b", None, "d"]},
    "gaps of dates": {"n": [1, 2, 3, 4], "day": [None, None, date(2020, 2, 29), None]},
    "gaps at both ends": {"x": [None, 1.5, None], "id": ["p1", "p2", "p3"]},
    "dates": {
        "day": [date(2020, 1, 31), date(1999, 12, 1), date(1970, 1, 1)],
        "later": [date(2023, 3, 4), date(2023, 5, 6), date(2024, 2, 29)],
    },
    "old dates": {"born": [date(1900, 3, 1), date(1923, 5, 17), date(1950, 1, 1)], "n": [1, 2, 3]},
    "codes": {"zip": ["00501", "90210", "01067"], "icd": ["C34.1", "E11.9", "I10"], "sample": ["12E5", "13E7", "7E1"]},
    "codes of digits": {"id": ["1234567890123456", "1234567890123457", "1"], "n": [1, 2, 3]},
    "stages": {"stage": ["1", "2", "2a", "3a"], "t": ["T1", "T2", "T2", "T4"]},
    "texts": {"a": ["Süd, Ost", "Nord; West", 'the "old" one'], "b": ["x", "y z", "é"], "c": ["-", "+", "++"]},
    "long texts": {"note": ["a" * 300, "b" * 200, "c"], "n": [1, 2, 3]},
    "yes and no": {"smoker": [True, False, True], "died": [False, False, True]},
    "years": {"year": [1999, 2020, 2023], "day": [20230105, 20230117, 20231231]},
    "one column": {"x": [1.5, 2.5, 4.0]},
    "only text": {"a": ["u", "v", "w"], "b": ["k", "l", "m"]},
    "many rows": {"n": [*range(3000)], "x": [n / 7 for n in range(3000)], "s": [f"p{n}" for n in range(3000)]},
}
EXACT_DIGITS = 16  # that libraries write into workbooks


def numbers_agree(expected: float, found: object, digits: int) -> bool:
    return isinstance(found, int | float) and abs(expected - found) <= abs(expected) * 10.0 ** (1 - digits)


def agree(expected: object, found: object, digits: int = EXACT_DIGITS) -> bool:
    """Return whether a value is the same; of a number, as many digits as the writer keeps."""
    if isinstance(expected, bool):
        return found == expected
    return numbers_agree(expected, found, digits) if isinstance(expected, int | float) else expected == found


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_as_it_was_written(tmp_path: Path, name: str, write: Writer) -> None:
    check(name, write(pl.DataFrame(TABLES[name]), tmp_path), tmp_path)


@pytest.fixture(scope="module")
def files_of_r(tmp_path_factory) -> dict[tuple[str, str], Path]:
    if not r_writers.is_there():
        pytest.skip(f"R with the packages {', '.join(r_writers.PACKAGES)} is not installed")
    return r_writers.write(TABLES, tmp_path_factory.mktemp("r"))


@pytest.mark.parametrize("writer", r_writers.WRITERS)
def test_tables_are_read_as_r_wrote_them(tmp_path: Path, files_of_r, writer: str) -> None:
    for number, name in enumerate(TABLES):
        folder = tmp_path / str(number)
        folder.mkdir()
        check(name, open_source(str(files_of_r[name, writer])), folder, r_writers.WRITERS[writer].digits)


def check(name: str, source: TableSource, folder: Path, digits: int = EXACT_DIGITS) -> None:
    """Import a source, and compare what is stored to the table of this name."""
    table = pl.DataFrame(TABLES[name])
    done = import_table(DatasetStore(folder / "data"), "t", source, imported_at=NOW, pictures=False)
    stored = pl.read_parquet(done.folder / "data.parquet")
    assert stored.columns == table.columns
    filled = table.filter(~pl.all_horizontal(pl.all().is_null()))
    for column in table.columns:
        found, expected = stored[column].to_list(), filled[column].to_list()
        same = len(found) == len(expected) and all(agree(*pair, digits) for pair in zip(expected, found, strict=True))
        said = "; ".join(done.facts.notes[column])
        assert same or EXPECTED_NOTES.get((name, column), "\0") in said, (name, column, expected[:5], found[:5], said)


# What one reading cannot tell, and how the report names it.
EXPECTED_NOTES = {
    ("in doubt", "x"): "can be read in two ways",
}


def test_there_are_enough_of_them() -> None:
    assert len(TABLES) * len(WRITERS) >= 300
