"""A column's type is inferred from all of its cells, and reading it as that type loses nothing."""

from datetime import date
from math import isclose, isfinite
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from participant.data.model.declaration import Declaration
from participant.data.model.description import ColumnKind
from participant.data.steps.evidence import Evidence, mark_of_table
from participant.data.steps.missing import MissingCodes
from participant.data.steps.names import NamedColumn
from participant.data.steps.types import Reading, decide
from participant.data.steps.validate import check
from participant.data.store.store import DatasetStore
from tests.support.tables import imported

COLUMN = NamedColumn(0, "x", "x")


def read(cells: list[str | None], *, table: str | None = None, batches: int = 1, **declared) -> tuple[Reading, list]:
    """Return how cells are read, and the values."""
    declaration = Declaration.model_validate({"columns": {"x": declared} if declared else {}}, strict=False)
    column = pl.Series("x", cells, pl.String)
    seen, codes = Evidence(), MissingCodes.of((*declaration.missing, *declared.get("missing", ())))
    size = -(-len(cells) // batches)
    for start in range(0, len(cells), size):
        seen.read(column.slice(start, size), codes)
    reading = decide(COLUMN, seen, declaration, table=table)
    checked = check(column, reading)
    assert not checked.complaints, (cells, checked.complaints)
    return reading, checked.values.to_list()


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "-2", None], ColumnKind.INTEGER, [1, -2, None]),
        (["1", "2.5", "1e3"], ColumnKind.REAL, [1.0, 2.5, 1000.0]),
        (["1.", ".5", "+3"], ColumnKind.REAL, [1.0, 0.5, 3.0]),
        (["1,5", "2", "0,25"], ColumnKind.REAL, [1.5, 2.0, 0.25]),
        (["1.234,5", "2.000,0"], ColumnKind.REAL, [1234.5, 2000.0]),
        (["1,234.5", "2,000.25"], ColumnKind.REAL, [1234.5, 2000.25]),
        (["1'234.5", "2 000.25"], ColumnKind.REAL, [1234.5, 2000.25]),
        (["1\u00a0234,5", "12\u202f345,0"], ColumnKind.REAL, [1234.5, 12345.0]),
        (["1E16E"], ColumnKind.TEXT, ["1E16E"]),
        (["72 kg", "80kg", "75"], ColumnKind.INTEGER, [72, 80, 75]),
        (["36,6 \u00b0C", "37,2\u00b0C"], ColumnKind.REAL, [36.6, 37.2]),
        (["5", "n/a", "-", "7"], ColumnKind.INTEGER, [5, None, None, 7]),
        (["yes", "no", "YES"], ColumnKind.BOOLEAN, [True, False, True]),
        (["ja", "nein", "?"], ColumnKind.BOOLEAN, [True, False, None]),
        (["2020-01-31", "1999-12-01"], ColumnKind.DATE, [date(2020, 1, 31), date(1999, 12, 1)]),
        (["31.01.2020", "2020-02-01"], ColumnKind.DATE, [date(2020, 1, 31), date(2020, 2, 1)]),
        (["31/01/2020", "03/04/2020"], ColumnKind.DATE, [date(2020, 1, 31), date(2020, 4, 3)]),
        (["01/31/2020", "03/04/2020"], ColumnKind.DATE, [date(2020, 1, 31), date(2020, 3, 4)]),
        (["2020-01-31T10:20:30", "2020-01-31T00:00:00.5Z"], ColumnKind.DATE, [date(2020, 1, 31)] * 2),
        (["007", "12"], ColumnKind.TEXT, ["007", "12"]),
        (["1234567890123456"], ColumnKind.TEXT, ["1234567890123456"]),
        (["1", "two"], ColumnKind.TEXT, ["1", "two"]),
        (["nan", "inf", "1"], ColumnKind.INTEGER, [None, None, 1]),
        (["1e999"], ColumnKind.TEXT, ["1e999"]),
        (["1.E310", "1"], ColumnKind.TEXT, ["1.E310", "1"]),
        (["1e999 kg", "1"], ColumnKind.TEXT, ["1e999 kg", "1"]),
        (["30.02.2020", "31.01.2020"], ColumnKind.TEXT, ["30.02.2020", "31.01.2020"]),
        (["-", ".", "-"], ColumnKind.TEXT, ["-", ".", "-"]),
        (["-", "+", "++"], ColumnKind.TEXT, ["-", "+", "++"]),
        ([None, None], ColumnKind.REAL, [None, None]),
    ],
)
def test_inference(cells: list[str | None], kind: ColumnKind, values: list) -> None:
    for batches in (1, len(cells)):
        reading, given = read(cells, batches=batches)
        assert (reading.kind, given) == (kind, values)


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        (["1,234", "2,500"], "can be read in two ways: declare decimal"),
        (["03/04/2020", "05/06/2020"], "can be read in two ways: declare formats"),
        (["72 kg", "180 lb"], "several units in the cells: kg (1), lb (1)"),
        (["1"] * 40 + ["a few"], "numbers but for 1 cells in 1 different forms"),
        (["2020-01-31"] * 40 + ["soon"], "dates but for 1 cells"),
        (["007"], "taken as codes"),
    ],
)
def test_what_is_not_certain_stays_text_with_a_note(cells: list[str], note: str) -> None:
    reading, values = read(cells)
    assert (reading.kind, values) == (ColumnKind.TEXT, cells)
    assert note in "; ".join(reading.notes)


def test_other_columns_decide_the_decimal_mark() -> None:
    assert read(["1,234", "2,500"], table=",")[1] == [1.234, 2.5]
    assert read(["1.234", "2.500"], table=".")[1] == [1.234, 2.5]
    # They never make thousands of it: two marks in two columns are two conventions.
    assert read(["1,234", "2,500"], table=".")[1] == ["1,234", "2,500"]
    assert read(["1.234", "2.500"], table=",")[1] == ["1.234", "2.500"]
    assert read(["1.234", "2.500"])[1] == ["1.234", "2.500"]

    def seen(*cells: str) -> Evidence:
        evidence = Evidence()
        evidence.read(pl.Series(cells), MissingCodes.of(()))
        return evidence

    assert mark_of_table([seen("1"), seen("2,5"), seen("a,b")]) == ","
    assert mark_of_table([seen("1"), seen("2.5"), seen("1,234")]) == "."
    assert mark_of_table([seen("1.5"), seen("2,5")]) is None


def test_units_are_converted_as_declared() -> None:
    reading, values = read(
        ["70", "70000 g", "10 lb", "1 kg"], type="real", unit="kg", units={"g": 0.001, "lb": 0.45359237}
    )
    assert values == pytest.approx([70, 70, 4.5359237, 1])
    assert reading.unit == "kg"
    _, celsius = read(["37", "98.6 F"], unit="C", units={"F": {"factor": 5 / 9, "offset": -160 / 9}}, type="real")
    assert celsius == pytest.approx([37, 37])


@pytest.mark.parametrize(
    ("declared", "cell", "reason"),
    [
        ({"type": "integer"}, "1.5", "not a whole number"),
        ({"type": "integer"}, "99999999999999999", "not a whole number"),
        ({"type": "real", "low": 0}, "-1", "below 0"),
        ({"type": "real", "high": 120}, "999", "above 120"),
        ({"type": "real"}, "soon", "not a number"),
        ({"type": "real", "unit": "kg"}, "1 stone", "a number with a unit that is not declared"),
        ({"type": "boolean"}, "maybe", "neither yes nor no"),
        ({"categories": {"m": 1, "f": 2}}, "x", "not one of the declared categories"),
        ({"type": "date"}, "2020-02-30", "not a date written as %Y-%m-%d"),
        ({"formats": ["%d.%m.%y"]}, "2020-02-03", "not a date written as %d.%m.%y"),
        ({"type": "text"}, "=1+1", "begins like a formula that a spreadsheet would run"),
        ({"type": "text"}, "@SUM(A1:A9)", "begins like a formula that a spreadsheet would run"),
        ({"type": "text"}, "-2+3+cmd|' /C calc'!A0", "begins like a formula that a spreadsheet would run"),
        ({"type": "text", "required": True}, None, "no value, and one is required"),
    ],
)
def test_each_rule_has_a_cell_that_breaks_it(declared: dict, cell: str | None, reason: str) -> None:
    declaration = Declaration.model_validate({"columns": {"x": declared}}, strict=False)
    reading = decide(COLUMN, Evidence(), declaration, table=None)
    checked = check(pl.Series("x", [cell], pl.String), reading)
    assert [(one.reason, one.rows.to_list()) for one in checked.complaints] == [(reason, [True])]


def test_categories_and_missing_codes() -> None:
    reading, values = read(["m", "f", "9", None], categories={"m": 1, "f": 2}, missing=["9"])
    assert (reading.kind, values) == (ColumnKind.CATEGORY, [1, 2, None, None])


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_every_double_survives_as_it_was_written(numbers: list[float]) -> None:
    reading, values = read([repr(one) for one in numbers])
    if reading.kind is not ColumnKind.TEXT:  # 1e+16 has too many digits to be sure that it is no code
        assert values == numbers


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,eE+- '", max_size=12))
def test_a_number_is_what_python_takes_for_one(cell: str) -> None:
    reading, values = read([cell.strip() or None])
    if (
        reading.kind in {ColumnKind.INTEGER, ColumnKind.REAL}
        and values[0] is not None
        and reading.decimal == "."
        and not reading.unit
    ):
        plain = cell.strip()
        try:
            expected = float(plain)
        except ValueError:
            expected = float(plain.replace(",", "").replace("'", "").replace(" ", ""))
        assert isfinite(expected)
        assert isclose(values[0], expected, rel_tol=1e-15)


def test_integers_are_stored_in_the_smallest_type(tmp_path: Path) -> None:
    ends = [127, 128, 2**15, 2**31, 2**53 - 1]
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,d,e\n" + ",".join(map(str, ends)) + "\n" + ",".join(str(-one - 1) for one in ends) + "\n")
    store = DatasetStore(tmp_path / "data")
    done = imported(store, "t", path)
    table = pl.read_parquet(done.folder / "data.parquet")
    assert table.dtypes == [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.String]  # 16 digits are a code
    np.testing.assert_array_equal(store.load("t", ["c"])["c"], [2**15, -(2**15) - 1])
