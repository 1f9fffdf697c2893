"""Real-world tables and their true content: each was once silently misread, or refused."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import mongomock
import openpyxl
import polars as pl
import pytest
import sqlalchemy
import xlsxwriter
from bson import Decimal128, ObjectId

from participant.data.model.declaration import Declaration
from participant.data.model.errors import BadRowsError, DeclarationError, HeaderError, SourceError
from participant.data.pipeline.importing import Imported, import_table
from participant.data.sources import TableSource
from participant.data.sources.choose import Options, open_source
from participant.data.sources.mongo import MongoSource
from participant.data.store.store import DatasetStore
from tests.support.tables import NOW
from tests.unit.participant.data.sources.test_sources import write_archive


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Imported]:
    """Import a source, or the text of a CSV file."""
    store = DatasetStore(tmp_path / "data")

    def take(source: TableSource | str, *, options: Options | None = None, **declared: Any) -> Imported:
        if isinstance(source, str):
            (tmp_path / "t.csv").write_text(source)
            source = open_source(str(tmp_path / "t.csv"), options)
        declaration = Declaration.model_validate(declared, strict=False)
        return import_table(store, "t", source, imported_at=NOW, declared=declaration)

    return take


def values(done: Imported) -> dict[str, list]:
    return pl.read_parquet(done.folder / "data.parquet").to_dict(as_series=False)


def notes(done: Imported, column: str) -> str:
    return "; ".join(done.facts.notes[column])


def units(done: Imported) -> dict[str, str]:
    return {column.name: column.unit for column in done.description.columns if column.unit}


def book(
    path: Path, rows: list[list], *, top: int = 0, left: int = 0, merge: tuple[int, ...] | None = None
) -> TableSource:
    """Write a workbook as Excel does: each kind of value with its format, errors and booleans as such."""
    with xlsxwriter.Workbook(path, {"remove_timezone": True}) as workbook:
        sheet = workbook.add_worksheet()
        formats = {kind: workbook.add_format({"num_format": form}) for kind, form in FORMATS.items()}
        for y, row in enumerate(rows, top):
            for x, value in enumerate(row, left):
                match value:
                    case None:
                        pass
                    case str() if value.startswith("#"):
                        sheet.write_formula(y, x, "=1/0", None, value)
                    case str():
                        sheet.write_string(y, x, value)
                    case bool():
                        sheet.write_boolean(y, x, value)
                    case int() | float():
                        sheet.write_number(y, x, value)
                    case timedelta():
                        sheet.write_number(y, x, value / timedelta(days=1), formats[timedelta])
                    case _:
                        sheet.write_datetime(y, x, value, formats[type(value)])
        if merge:
            sheet.merge_range(*merge, "merged")
    return open_source(str(path), Options())


FORMATS = {
    date: "yyyy-mm-dd",
    datetime: "yyyy-mm-dd hh:mm:ss",
    time: "hh:mm",
    timedelta: "[h]:mm:ss",
}


# Decimal marks and thousands


def test_no_group_of_thousands_begins_with_0(take) -> None:
    done = take("crea;lab\n0.875;1,5\n1.120;2,5\n0.934;3,25\n")
    assert values(done) == {"crea": [0.875, 1.12, 0.934], "lab": [1.5, 2.5, 3.25]}
    assert "decimal comma in 3 cells" in notes(done, "lab")
    for declared in ({"type": "real"}, {"type": "real", "unit": "mg"}):
        assert values(take("crea;lab\n0.125;1,5\n", columns={"crea": declared}))["crea"] == [0.125]
    assert values(take("dose;lab\n0.125 mg;1,5\n0.250 mg;2,5\n"))["dose"] == [0.125, 0.25]
    assert values(take("dose;lab\n0.125 mg;1,5\n", columns={"dose": {"type": "real", "unit": "mg"}}))["dose"] == [0.125]
    assert values(take("x;y\n-0,875;0,125e3\n-0,934;1,5\n")) == {"x": [-0.875, -0.934], "y": [125, 1.5]}


def test_a_number_that_is_two_numbers_is_none_until_the_mark_is_declared(take) -> None:
    for text in (
        "x;y\n1.234;1,5\n2.500;2,5\n",
        "x;y\n1,234;a\n2,500;b\n",
        "x;y\n1.234;a\n2.500;b\n",
        "x;y\n1,234;1.5\n",
    ):
        done = take(text)
        assert done.description.columns[0].kind == "text", text
        assert "can be read in two ways: declare decimal" in notes(done, "x")
    assert values(take("x;y\n1.234;1,5\n2.500;2,5\n", decimal=","))["x"] == [1234, 2500]
    assert values(take("x;y\n1.234;1,5\n", columns={"x": {"decimal": "."}}))["x"] == [1.234]
    with pytest.raises(BadRowsError):
        take("x;y\n1.234;1,5\n", columns={"x": {"type": "real"}})
    # Where commas separate the cells, or the column itself shows its mark, there is one reading.
    assert values(take("x,y\n1.234,a\n2.500,b\n"))["x"] == [1.234, 2.5]
    assert values(take("x;y\n1.234;a\n12.5;b\n"))["x"] == [1.234, 12.5]
    assert values(take("x;y\n1.234;a\n1.234.567;b\n"))["x"] == [1234, 1234567]


def test_two_marks_in_one_column_are_no_numbers(take) -> None:
    done = take("x;y\n1.5;a\n2,5;b\n")
    assert "1 numbers have a decimal point and 1 a decimal comma" in notes(done, "x")
    assert values(done)["x"] == ["1.5", "2,5"]


# Separators


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Größe, m;Gewicht, kg;RR, mmHg\n1,80;70,5;120,0\n1,65;60,0;130,5\n",
            {"Groesse_m": [1.8, 1.65], "Gewicht_kg": [70.5, 60.0], "RR_mmHg": [120.0, 130.5]},
        ),
        ("a,b;c\n1,5;2\n2,5;3\n", {"a_b": [1.5, 2.5], "c": [2, 3]}),
        ("x\n1,5\n2,5\n", {"x": [1.5, 2.5]}),
        ("name\tnote, free\nA\tb\nB\tc, d\n", {"name": ["A", "B"], "note_free": ["b", "c, d"]}),
        ("sep=;\na;b\n1,5;2\n", {"a": [1.5], "b": [2]}),
        ("age, sex\n61, 1\n62, 2\n", {"age": [61, 62], "sex": [1, 2]}),
    ],
)
def test_the_separator_is_the_one_under_which_all_lines_agree(take, text: str, expected: dict) -> None:
    assert values(take(text)) == expected


def test_a_separator_in_doubt_is_asked_for(take) -> None:
    with pytest.raises(SourceError, match=r"separated by , and ;, .*--separator"):
        take("a,b;c\nx,y;z\n")
    with pytest.raises(HeaderError, match="stands before a unit"):
        take("Wert, mmol/l\n1,5\n2,5\n")
    assert values(take("Wert, mmol/l\n1,5\n", options=Options(separator=";"))) == {"Wert_mmol_l": [1.5]}


# Missing codes


@pytest.mark.parametrize("cell", ["-9", "-9.0", "-9,0", "-9 kg", "-9.000e0", " -9 ", "-9,00 kg"])
def test_codes_of_missing_values_are_compared_as_values(take, cell: str) -> None:
    for text in (f"x;y\n61;a\n{cell};b\n", f"x;y\n6,5;a\n{cell};b\n"):
        done = take(text, missing=["-9"])
        assert values(done)["x"] in ([61, None], [6.5, None]), text
        assert done.description.columns[0].missing == 1
        declared = take(text, missing=["-9"], columns={"x": {"type": "real", "unit": "kg", "decimal": ","}})
        assert values(declared)["x"][1] is None


def test_codes_in_typed_sources(take, tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"x": [1.5, -9.0], "n": [1, -9], "day": [date(2020, 1, 2), date(1900, 1, 1)], "s": ["a", "-9.0"]}
    )
    table.write_parquet(tmp_path / "t.parquet")
    done = take(open_source(str(tmp_path / "t.parquet")), missing=["-9", "1900-01-01"])
    assert values(done) == {"x": [1.5, None], "n": [1, None], "day": [date(2020, 1, 2), None], "s": ["a", None]}
    done = take(book(tmp_path / "t.xlsx", [["x", "s"], [1.5, "a"], [-9, "b"], ["-9,0", "c"]]), missing=["-9"])
    assert values(done)["x"] == [1.5, None, None]


# Workbooks


def test_a_workbook_gives_the_doubles_that_it_holds(take, tmp_path: Path) -> None:
    doubles = [1.52e-11, 1 / 3, 1e300, 0.1 + 0.2, -5e-324]
    rows = "".join(f"<row><c><v>{one!r}</v></c><c><v>{n}</v></c></row>" for n, one in enumerate(doubles))
    header = '<row><c t="str"><v>x</v></c><c t="str"><v>n</v></c></row>'
    write_archive(tmp_path / "t.xlsx", f"<sheetData>{header}{rows}</sheetData>")  # libraries write 16 digits, Excel 17
    done = take(open_source(str(tmp_path / "t.xlsx")))
    assert values(done) == {"x": doubles, "n": [0, 1, 2, 3, 4]}


def test_a_workbook_of_all_kinds(take, tmp_path: Path) -> None:
    rows = [
        ["day", "moment", "clock", "stay", "well", "code", "mixed"],
        [
            date(2020, 1, 31),
            datetime(2020, 1, 31, 10, 30, tzinfo=UTC),
            time(8, 15),
            timedelta(hours=30),
            True,
            "007",
            1.5,
        ],
        [date(1999, 12, 1), datetime(2020, 2, 1, tzinfo=UTC), time(0, 0), timedelta(minutes=90), False, "12", "1,5"],
    ]
    done = take(book(tmp_path / "t.xlsx", rows))
    assert values(done) == {
        "day": [date(2020, 1, 31), date(1999, 12, 1)],
        "moment": [date(2020, 1, 31), date(2020, 2, 1)],
        "clock": ["08:15:00", "00:00:00"],
        "stay": [108000, 5400],
        "well": [True, False],
        "code": ["007", "12"],
        "mixed": [1.5, 1.5],
    }
    assert units(done) == {"stay": "s"}
    assert "time of day left out of 1 dates" in notes(done, "moment")
    assert "2 durations are seconds" in notes(done, "stay")
    assert "1 cells are text in the source and were read as numbers" in notes(done, "mixed")
    days = take(book(tmp_path / "t.xlsx", rows), columns={"stay": {"type": "real", "unit": "h"}})
    assert values(days)["stay"] == [30, 1.5]
    with pytest.raises(DeclarationError, match="stay is in s and declared in kg"):
        take(book(tmp_path / "t.xlsx", rows), columns={"stay": {"unit": "kg"}})


def test_errors_in_cells_are_told(take, tmp_path: Path) -> None:
    done = take(book(tmp_path / "t.xlsx", [["x", "y"], [1, "a"], ["#DIV/0!", "b"], ["#N/A", "c"], [2, "#REF!"]]))
    assert values(done) == {"x": [1, None, None, 2], "y": ["a", "b", "c", "#REF!"]}
    assert "taken as missing: #div/0! (1), #n/a (1)" in notes(done, "x")


def test_formulas_that_were_never_computed_are_told(take, tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    for row in (["x", "double"], [1, "=A2*2"], [2, "=A3*2"]):
        workbook.active.append(row)
    workbook.save(tmp_path / "t.xlsx")
    assert "2 formulas have no stored value" in notes(take(open_source(str(tmp_path / "t.xlsx"))), "double")


def test_merged_cells_are_told(take, tmp_path: Path) -> None:
    rows = [["ward", "x"], ["a", 1], [None, 2], [None, 3], ["b", 4]]
    done = take(book(tmp_path / "t.xlsx", rows, merge=(2, 0, 3, 0)))
    assert "1 cells are merged into another" in notes(done, "ward")


def test_bad_rows_have_the_lines_of_the_file(take, tmp_path: Path) -> None:
    rows = [["age", "x"], [61, 1], ["old", 2]]
    with pytest.raises(BadRowsError) as caught:
        take(book(tmp_path / "t.xlsx", rows, top=3, left=2), columns={"age": {"type": "integer"}})
    assert (caught.value.folder / "bad-rows.csv").read_text().splitlines()[1:] == ["6,age,not a number,old"]
    with pytest.raises(BadRowsError) as caught:
        take("sep=;\nage;x\n61;1\nold;2\n", columns={"age": {"type": "integer"}})
    assert (caught.value.folder / "bad-rows.csv").read_text().splitlines()[1:] == ["4,age,not a number,old"]


# Units, codes and dates


@pytest.mark.parametrize(
    ("cells", "expected", "note"),
    [
        (["1", "2", "2a", "3a"], ["1", "2", "2a", "3a"], "no known unit: a (2)"),
        (["12E5", "13E7"], ["12E5", "13E7"], "numbers or codes"),
        (["05JAN2023", "17JAN2023"], [date(2023, 1, 5), date(2023, 1, 17)], ""),
        (["05-JAN-2023", "17-Feb-2023"], [date(2023, 1, 5), date(2023, 2, 17)], ""),
        (
            ["05JAN2023:10:30:00", "17JAN2023:00:00:00"],
            [date(2023, 1, 5), date(2023, 1, 17)],
            "time of day left out of 1",
        ),
        (["2023-01-05 10:30", "2023-01-06 00:00"], [date(2023, 1, 5), date(2023, 1, 6)], "time of day left out of 1"),
        (["05.01.2023 10:30", "06.01.2023 9:05"], [date(2023, 1, 5), date(2023, 1, 6)], "time of day left out of 2"),
        (["2023-01-05 00:00:00"], [date(2023, 1, 5)], ""),
        (["03-04-2020", "05-06-2020"], ["03-04-2020", "05-06-2020"], "can be read in two ways: declare formats"),
        (["31-04-20", "05-06-20"], ["31-04-20", "05-06-20"], "two digits for the year"),
        (["20230105", "20230117"], [20230105, 20230117], "dates, perhaps"),
        (["70 kg", "72000 g"], ["70 kg", "72000 g"], "several units in the cells: g (1), kg (1)"),
        (["70 kg", "72"], [70, 72], "unit kg taken out of 1 cells; 1 have none"),
        (["1e+05", "123456"], [100000.0, 123456.0], ""),
        (["f", "f"], ["f", "f"], ""),
        (["n", "n"], ["n", "n"], ""),
        (["1", "inf", "2"], [1, None, 2], "1 infinite numbers taken as missing"),
        (["10:30", "08:15"], ["10:30", "08:15"], ""),
    ],
)
def test_cells_that_look_like_something_else(take, cells: list[str], expected: list, note: str) -> None:
    done = take("x;y\n" + "".join(f"{cell};{n}\n" for n, cell in enumerate(cells)))
    assert values(done)["x"] == expected
    assert note in notes(done, "x")


def test_the_century_of_two_digit_years_is_told(take) -> None:
    done = take("born\n01.01.69\n01.01.70\n", columns={"born": {"formats": ["%d.%m.%y"]}})
    assert values(done)["born"] == [date(2069, 1, 1), date(1970, 1, 1)]
    assert "00 to 69 are read as 2000 to 2069" in notes(done, "born")


def test_a_unit_in_the_cells_other_than_in_the_header_is_not_taken_for_it(take) -> None:
    done = take("weight [kg];y\n72000 g;1\n61000 g;2\n")
    assert values(done)["weight"] == ["72000 g", "61000 g"]
    assert "beside kg; declare unit and units" in notes(done, "weight")


# Columns without a name


@pytest.mark.parametrize(
    ("text", "expected", "remark"),
    [
        (
            "id;x;;\n1;5;;\n2;6;;\n",
            {"id": [1, 2], "x": [5, 6]},
            "2 columns without a name and without a value left out",
        ),
        (",a\n0,5\n1,6\n", {"a": [5, 6]}, "numbers the rows: left out"),
        ('"","a"\n"1",5\n"2",6\n', {"a": [5, 6]}, "numbers the rows: left out"),
        ('"","a"\n"Mazda",5\n"Honda",6\n', {"row": ["Mazda", "Honda"], "a": [5, 6]}, ""),
        (",a\n3,5\n7,6\n", {"row": [3, 7], "a": [5, 6]}, ""),
        ("id;2019;2020\n1;5;6\n2;7;8\n", {"id": [1, 2], "x_2019": [5, 7], "x_2020": [6, 8]}, ""),
    ],
)
def test_columns_without_a_proper_name(take, text: str, expected: dict, remark: str) -> None:
    done = take(text)
    assert values(done) == expected
    assert remark in "; ".join(done.facts.remarks)


@pytest.mark.parametrize("text", ["a;\n1;7731\n", "name;2019\nb;2020\nc;2021\n"])
def test_a_first_line_that_is_perhaps_a_row_is_refused(take, text: str) -> None:
    with pytest.raises(HeaderError, match="column 2 of 2 has no proper name"):
        take(text)


# Typed sources


def test_parquet_stays_typed(take, tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "stay": [timedelta(days=2, seconds=30), None],
            "ratio": [float("inf"), 0.5],
            "gap": [float("nan"), 1 / 3],
            "whole": pl.Series([1.0, 2.0]),
            "big": pl.Series([2**63 + 5, 1], dtype=pl.UInt64),
            "id": [2**53 + 1, 2**53 + 3],
            "seen": [datetime(2020, 1, 31, 23, 30, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)],
            "clock": [time(8, 15), None],
            "price": [Decimal("1.10"), Decimal("0.333")],
            "ward": pl.Series(["a", "b"], dtype=pl.Categorical),
            "digits": ["1", "2"],
        }
    )
    table.write_parquet(tmp_path / "t.parquet")
    done = take(open_source(str(tmp_path / "t.parquet")))
    assert values(done) == {
        "stay": [172830.0, None],
        "ratio": [None, 0.5],
        "gap": [None, 1 / 3],
        "whole": [1.0, 2.0],
        "big": ["9223372036854775813", "1"],
        "id": ["9007199254740993", "9007199254740995"],
        "seen": [date(2020, 1, 31), date(2020, 2, 1)],
        "clock": ["08:15:00", None],
        "price": [1.1, 0.333],
        "ward": ["a", "b"],
        "digits": [1, 2],
    }
    assert [column.kind for column in done.description.columns][3] == "real"
    assert "1 infinite numbers taken as missing" in notes(done, "ratio")
    assert "time of day left out of 1 dates" in notes(done, "seen")


def test_a_database_stays_typed(take, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 't.db'}"
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table t (x real, n integer, s text)"))
        for row in ((1 / 3, 1, "007"), (1.52e-11, None, "8"), (2.0, 3, None)):
            connection.execute(sqlalchemy.text("insert into t values (:x, :n, :s)"), dict(zip("xns", row, strict=True)))
    engine.dispose()
    done = take(open_source(url, Options(table="t")))
    assert values(done) == {"x": [1 / 3, 1.52e-11, 2.0], "n": [1, None, 3], "s": ["007", "8", None]}


def test_documents_stay_typed(take) -> None:
    collection = mongomock.MongoClient()["clinic"]["patients"]
    key = ObjectId()
    collection.insert_many(
        [
            {"ref": key, "dose": Decimal128("0.125"), "x": 1 / 3, "n": 1, "at": datetime(2020, 1, 31, 12, tzinfo=UTC)},
            {"ref": key, "dose": Decimal128("1.120"), "x": 2.0, "n": 2, "at": datetime(2020, 2, 1, tzinfo=UTC)},
        ]
    )
    assert values(take(MongoSource(collection))) == {
        "ref": [str(key)] * 2,
        "dose": [0.125, 1.12],
        "x": [1 / 3, 2.0],
        "n": [1, 2],
        "at": [date(2020, 1, 31), date(2020, 2, 1)],
    }


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(SourceError, match="the driver for oracle is not installed: install the package"):
        open_source("oracle://user:hunter2@host/db", Options(table="t"))
