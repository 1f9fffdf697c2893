"""CSV files as hospitals have them: which are read, which are refused, and that no refusal shows a value."""

from pathlib import Path

import numpy as np
import pytest

from participant.data.model.description import ColumnKind
from participant.data.model.errors import BadRowsError, HeaderError, SourceError
from participant.data.sources import csv as source_module
from participant.data.sources.csv import CsvSource
from participant.data.store.store import DatasetStore
from tests.support.tables import imported

CANARY = "7731"


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    return DatasetStore(tmp_path / "data")


@pytest.fixture
def take(store: DatasetStore, tmp_path: Path):
    def take(data: bytes, **options):
        path = tmp_path / "table.csv"
        path.write_bytes(data)
        return imported(store, "lung", path, **options)

    return take


def listed(store_folder: Path) -> str:
    return (store_folder / "lung/refused/bad-rows.csv").read_text()


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfage,sex\r\n1,2\r\n",
        b"age,sex\n1,2",
        b"age,sex\n 1 ,2\t\n\n\n",
        b'"age","sex"\n"1","2"\n',
        b"age,sex\n+1.0e0,2.\n",
        b"age;sex\n1;2\n",
        b"age\tsex\n1\t2\n",
        b"age,sex\n1,2\n,\n,\n",
        "age,sex\n1,2\n".encode("utf-16"),
        "\ufeffage,sex\r\n1,2\r\n".encode("utf-16-be"),
    ],
    ids=[
        "bom and crlf", "no last line feed", "blanks", "quoted", "forms of numbers", "semicolons", "tabs",
        "empty rows at the end", "utf-16", "utf-16 big endian",
    ],
)  # fmt: skip
def test_regular_files(store: DatasetStore, take, data: bytes) -> None:
    take(data)
    assert {name: column.tolist() for name, column in store.load("lung", ["age", "sex"]).items()} == {
        "age": [1.0],
        "sex": [2.0],
    }


@pytest.mark.parametrize("separator", [";", "\t", "|", "^", "]", "$"])
def test_separators(store: DatasetStore, take, separator: str) -> None:
    take(f'age{separator}ward\n1{separator}"a{separator}b"\n'.encode(), separator=separator)
    assert store.load("lung", ["age"])["age"].tolist() == [1]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "cp850"])
def test_encodings_that_are_named(store: DatasetStore, take, encoding: str) -> None:
    take("alter,strasse\n61,Grüne Gasse\n".encode(encoding), encoding=encoding)
    assert store.load("lung", ["alter"])["alter"].tolist() == [61]


def test_an_unknown_encoding_is_refused(take) -> None:
    with pytest.raises(SourceError, match="the encoding is one of cp1252"):
        take(b"age\n1\n", encoding="rot13")


@pytest.mark.parametrize(
    ("data", "error", "complaint"),
    [
        (b"", SourceError, "empty"),
        (b"\nage\n1\n", SourceError, "begins with a blank line"),
        (b"age,sex\n", SourceError, "no rows"),
        (b"age,sex\n\n\n", SourceError, "no rows"),
        (b"age,sex", SourceError, "no rows"),
        (b"age,sex\n7731,\0\n", SourceError, "NUL"),
        ("age,sex\n7731,2\n".encode("utf-16-le"), SourceError, "use --encoding utf-16"),
        (b"age,sex\n7731,\xfc\n", SourceError, "not UTF-8: line 2 .* use --encoding cp1252"),
        (b"age,sex\n" + b"1,2\n" * 2_000_000 + b"7731,\xfc\n", SourceError, "not UTF-8: line 2000002 "),
        (b"age,sex\n7731,\xc3", SourceError, "not UTF-8"),
        (b"7731,2\n1,2\n", HeaderError, "column 1, 2 of 2 has no proper name"),
        (b"age,\n7731,2\n", HeaderError, "column 2 of 2"),
        (b'age,"sex\n7731,2\n', HeaderError, "quotation marks of the first line"),
        (b"age,sex\r7731,2\r", SourceError, "carriage return|no rows"),
        (b"x," * 3000 + b"x\n1\n", SourceError, "3,001 columns; at most 2,000"),
        (b"x," * 600_000 + b"x\n", HeaderError, "longer than"),
        (b"age\n" + b"7731" * 600_000 + b"\n1\n", SourceError, "line 2 of table.csv is longer than"),
    ],
)
def test_refused_files(store: DatasetStore, take, data: bytes, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint) as caught:
        take(data)
    assert CANARY not in str(caught.value)
    assert store.list() == ()


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"age,sex\n7731,2\n\n1,2\n", 3, "no value in any column"),
        (b"age,sex\n7731,2\n  \t \n1,2\n", 3, "no value in any column"),
        (b"age,sex\n7731,2\n,\n1,2\n", 3, "no value in any column"),
        (b"age,sex\n7731\n1,2\n", 2, "1 cells, where the header has 2"),
        (b"age,sex\n1,2\n7731,2,3\n", 3, "3 cells, where the header has 2"),
        (b'age,sex\n"7731\n1",2\n1,2\n', 2, "quotation marks"),
        (b'age,sex\n"7731"1,2\n1,2\n', 2, "quotation marks"),
        (b'age,sex\n1"7731",2\n1,2\n', 2, "quotation marks"),
    ],
)
def test_irregular_lines_are_listed(
    store: DatasetStore, take, tmp_path: Path, data: bytes, line: int, reason: str
) -> None:
    with pytest.raises(BadRowsError, match="may be: nothing was stored") as caught:
        take(data)
    assert CANARY not in str(caught.value)
    assert store.list() == ()
    assert f"{line},,{reason}" in listed(tmp_path / "data").replace('"', "")
    kept = take(data, bad_rows=0.9).description
    assert (kept.rows, kept.bad_rows) == (sum(1 for _ in data.splitlines()[1:]) - kept.bad_rows, kept.bad_rows)
    assert kept.bad_rows >= 1


@pytest.mark.parametrize("cell", ["x7731", "7731 mg", "1,5", "1_000", "nan", "inf", "1e999", "0x10", "\u0661"])
def test_a_declared_column_must_be_numeric(store: DatasetStore, take, tmp_path: Path, cell: str) -> None:
    with pytest.raises(BadRowsError) as caught:
        take(f"age;sex\n1;1\n{cell};2\n".encode(), columns={"age": {"type": "real"}}, decimal=".")
    assert CANARY not in str(caught.value)
    assert f"3,age,{'a number with a unit' if cell in ('7731 mg', '0x10') else 'not a number'}" in listed(
        tmp_path / "data"
    )
    assert store.list() == ()


def test_codes_stay_text_unless_declared(store: DatasetStore, take) -> None:
    codes = b"zip,id,empty\n00501,12345678901234567890,\n90210,2,\n"
    assert [column.kind for column in take(codes).description.columns] == [
        ColumnKind.TEXT,
        ColumnKind.TEXT,
        ColumnKind.REAL,
    ]
    assert take(codes, columns={"zip": {"type": "integer"}}).description.columns[0].kind is ColumnKind.INTEGER
    assert store.load("lung", ["zip"])["zip"].tolist() == [501, 90210]
    assert np.isnan(store.load("lung", ["empty"])["empty"]).all()


def test_missing_codes(store: DatasetStore, take) -> None:
    description = take(b"age,ward\n-9,x\n.,\n5,-9\n", missing=["-9", "."]).description
    assert [column.missing for column in description.columns] == [2, 2]
    np.testing.assert_array_equal(store.load("lung", ["age"])["age"], [np.nan, np.nan, 5])


def test_other_refusals(store: DatasetStore, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file .*gone\.csv"):
        CsvSource(tmp_path / "gone.csv")
    with pytest.raises(SourceError, match="is a folder, not a file"):
        CsvSource(tmp_path)
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match="separator"):
        CsvSource(tmp_path / "a.csv", separator='"')


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_blocks_of_any_size_read_the_same(take, store, monkeypatch, block: int, encoding: str) -> None:
    """Lines, letters of several bytes and marks at the beginning may be cut anywhere."""
    text = 'zahl,wort\n1,"ä, ö"\n\n2,ü\n3\n4,é\n,\n\n'
    monkeypatch.setattr(source_module, "_BLOCK", block)
    done = take(text.encode(encoding), encoding=None if encoding.startswith("utf") else encoding, bad_rows=0.5)
    assert store.load("lung", ["zahl"])["zahl"].tolist() == [1, 2, 4]
    assert (done.facts.read, done.facts.bad) == (5, 2)
    listed = (done.folder / "bad-rows.csv").read_text().splitlines()
    assert sorted(row.split(",")[0] for row in listed[1:]) == ["3", "5"]


def test_an_empty_line_of_a_single_column_is_a_missing_value(take, store, monkeypatch) -> None:
    for block in (3, 5, 1 << 20):
        monkeypatch.setattr(source_module, "_BLOCK", block)
        take(b"age\n1\n\n\n2\n\n\n")
        np.testing.assert_array_equal(store.load("lung", ["age"])["age"], [1, np.nan, np.nan, 2])
