"""Files of SAS, SPSS and Stata: values, dates, durations, labels, and why a value is missing."""

from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyreadstat
import pytest

from participant.data.model.errors import SourceError
from participant.data.pipeline.importing import Imported, import_table
from participant.data.sources.choose import Options, open_source
from participant.data.store.store import DatasetStore
from tests.support.tables import NOW

TABLE = pd.DataFrame(
    {
        "x": [1 / 3, -9.0, None, 1.52e-11],
        "n": [1.0, 2.0, 3.0, None],
        "ward": ["a", "Süd", "", "007"],
        "day": [date(2020, 1, 31), None, date(1959, 12, 31), date(1582, 10, 15)],
        "seen": [datetime(2020, 1, 31, 23, 59, 59), datetime(1999, 12, 1), None, datetime(1970, 1, 1)],  # noqa: DTZ001
    }
)
VALUES = {
    "x": [1 / 3, -9.0, None, 1.52e-11],
    "n": [1, 2, 3, None],
    "ward": ["a", "Süd", None, "007"],
    "day": [date(2020, 1, 31), None, date(1959, 12, 31), date(1582, 10, 15)],
    "seen": [date(2020, 1, 31), date(1999, 12, 1), None, date(1970, 1, 1)],
}


@pytest.fixture
def take(tmp_path: Path):
    store = DatasetStore(tmp_path / "data")
    return lambda path, **options: import_table(store, "t", open_source(str(path), Options(**options)), imported_at=NOW)


def values(done: Imported) -> dict[str, list]:
    return pl.read_parquet(done.folder / "data.parquet").to_dict(as_series=False)


def columns(done: Imported) -> dict:
    return {column.name: column for column in done.description.columns}


@pytest.mark.parametrize("name", ["t.sav", "t.zsav", "t.dta", "t.xpt", "t.por", "odd.csv"])
def test_a_table_is_the_same_from_every_package(take, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    labels = dict.fromkeys(TABLE.columns, None) | {"x": "an x"}
    match path.suffix:
        case ".zsav":
            pyreadstat.write_sav(TABLE, path, compress=True, column_labels=labels)
        case ".sav" | ".csv":  # a name says nothing
            pyreadstat.write_sav(TABLE, path, column_labels=labels)
        case ".dta":
            pyreadstat.write_dta(TABLE, path, column_labels=labels)
        case ".xpt":
            pyreadstat.write_xport(TABLE, path, column_labels=labels)
        case ".por":
            pyreadstat.write_por(TABLE.replace("Süd", "Sued"), path, column_labels=list(labels.values()))
    done = take(path)
    found = {name.lower(): column for name, column in values(done).items()}
    if path.suffix in {".por", ".xpt"}:  # their doubles are written in base 30, and those of IBM's mainframes
        assert [one is None for one in found["x"]] == [one is None for one in VALUES["x"]]
        np.testing.assert_allclose(np.array(found.pop("x"), float), np.array(VALUES["x"], float), rtol=1e-12)
    if path.suffix == ".por":
        assert found.pop("ward") == ["a", "Sued", None, "007"]
    assert found == {name: column for name, column in VALUES.items() if name in found}
    x = next(column for column in done.description.columns if column.name.lower() == "x")
    assert x.label == "an x"
    seen = next(name for name in done.facts.notes if name.lower() == "seen")
    assert "time of day left out of 1 dates" in done.facts.notes[seen]


def test_user_missing_values_of_spss_keep_their_reasons(take, tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [1.5, -9.0, -8.0, 98.0], "sex": [1, 2, 9, 1], "s": ["a", "zz", "b", "c"]})
    pyreadstat.write_sav(
        table,
        tmp_path / "t.sav",
        missing_ranges={"x": [-9, {"lo": 90, "hi": 99}], "sex": [9], "s": ["zz"]},
        variable_value_labels={
            "x": {-9: "refused"},
            "sex": {1: "male", 2: "female", 9: "unknown"},
            "s": {"zz": "not asked"},
        },
    )
    done = take(tmp_path / "t.sav")
    assert values(done) == {"x": [1.5, None, -8.0, None], "sex": [1, 2, None, 1], "s": ["a", None, "b", "c"]}
    assert columns(done)["x"].reasons == {"refused (-9)": 1, "98": 1}
    assert columns(done)["sex"].reasons == {"unknown (9)": 1}
    assert columns(done)["s"].reasons == {"not asked (zz)": 1}
    assert columns(done)["sex"].categories == {"male": 1, "female": 2, "unknown": 9}
    for report in ("report.html", "report.md"):
        assert "refused (-9)" in (done.folder / report).read_text().replace("\\", "")


def test_tagged_missing_values_of_stata_keep_their_reasons(take, tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [1.0, "a", 3.5, None], "n": [1, 2, "b", 4]})
    pyreadstat.write_dta(
        table,
        tmp_path / "t.dta",
        missing_user_values={"x": ["a"], "n": ["b"]},
        variable_value_labels={"n": {"b": "refused"}},
    )
    done = take(tmp_path / "t.dta")
    assert values(done) == {"x": [1.0, None, 3.5, None], "n": [1, 2, None, 4]}
    assert columns(done)["x"].reasons == {".a": 1}
    assert columns(done)["n"].reasons == {"refused (.b)": 1}
    assert (columns(done)["x"].missing, columns(done)["x"].kind) == (2, "real")


def test_durations_beyond_a_day_are_seconds(take, tmp_path: Path) -> None:
    table = pd.DataFrame({"stay": [90_000.0, 176_400.0, None]})
    for name, write, form in (
        ("t.sav", pyreadstat.write_sav, "TIME8"),
        ("d.sav", pyreadstat.write_sav, "DTIME10"),
        ("t.xpt", pyreadstat.write_xport, "TIME8"),
    ):
        write(table, tmp_path / name, variable_format={"stay": form})
        done = take(tmp_path / name)
        assert values(done) == {"stay": [90_000, 176_400]}  # a last row without a value is none
        assert columns(done)["stay"].unit == "s"


def test_labels_of_some_values_are_told(take, tmp_path: Path) -> None:
    pyreadstat.write_sav(
        pd.DataFrame({"age": [61.0, 99.0, 70.0]}), tmp_path / "t.sav", variable_value_labels={"age": {99: "not known"}}
    )
    done = take(tmp_path / "t.sav")
    assert "labels for some values alone: 99 not known (1)" in "; ".join(done.facts.notes["age"])


def test_blank_last_rows_of_an_xport_file_are_none_and_told(take, tmp_path: Path) -> None:
    pyreadstat.write_xport(pd.DataFrame({"s": ["a", "b", "", ""]}), tmp_path / "t.xpt", file_format_version=5)
    done = take(tmp_path / "t.xpt")
    assert values(done) == {"s": ["a", "b"]}
    assert "rows without any value at the end" in "; ".join(done.facts.origin.notes)


def test_periods_of_stata_stay_numbers(take, tmp_path: Path) -> None:
    pyreadstat.write_dta(pd.DataFrame({"month": [720, 721]}), tmp_path / "t.dta", variable_format={"month": "%tm"})
    done = take(tmp_path / "t.dta")
    assert values(done) == {"month": [720, 721]}
    assert "numbers of months from 1960 on" in "; ".join(done.facts.notes["month"])


@pytest.mark.parametrize(
    "sign", [b"$FL2", b"$FL3", b"<stata_dta>", b"HEADER RECORD*******LIBRARY", b"x" * 200 + b"SPSS PORT FILE"]
)
def test_torn_files_are_refused(take, tmp_path: Path, sign: bytes) -> None:
    (tmp_path / "t.sav").write_bytes(sign + b"7731" * 100)
    with pytest.raises(SourceError, match=r"t\.sav cannot be read") as caught:
        take(tmp_path / "t.sav")
    assert "7731" not in str(caught.value)


def test_only_an_encoding_belongs_to_them(take, tmp_path: Path) -> None:
    pyreadstat.write_sav(TABLE, tmp_path / "t.sav")
    with pytest.raises(SourceError, match="--separator does not belong"):
        take(tmp_path / "t.sav", separator=",")
