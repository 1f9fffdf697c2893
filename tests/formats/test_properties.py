"""Any table, corrupted in any way: it is read correctly, or the report says what is not."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from participant.data.model.description import NUMERIC, ColumnKind
from participant.data.model.errors import BadRowsError, DatasetError
from participant.data.pipeline.importing import Imported, import_table
from participant.data.sources.choose import Options, open_source
from participant.data.store.store import DatasetStore
from tests.formats import writers
from tests.formats.test_formats import agree
from tests.support.tables import NOW

ROWS = 4
GONE = ("", "NA", "-", "n/a", "#DIV/0!", "inf")
LETTERS = "abcdefghijklmnopqrstuvwxyzÄÖÜäöüßéABC ,;'-/()"
doubles = st.floats(-1e60, 1e60, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-60)
texts = st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(lambda s: any(c.isalpha() for c in s))
codes = st.from_regex(r"[A-Z]{1,2}[0-9]{1,3}|0[0-9]{3}|[0-9]{2}E[0-9]", fullmatch=True)
COLUMNS = st.one_of(
    *(
        st.lists(st.none() | kind, min_size=ROWS, max_size=ROWS)
        for kind in (doubles, st.integers(-(2**40), 2**40), st.dates(date(1900, 3, 1), date(2199, 1, 1)), codes, texts)
    )
)
FAST = (
    writers.comma,
    writers.quoted,
    writers.semicolons_and_decimal_commas,
    writers.utf16,
    writers.r_with_row_names,
    writers.parquet,
    writers.xlsx_of_openpyxl,
    writers.spss,
    writers.stata,
    writers.xport,
    writers.sqlite,
    writers.documents,
    writers.frame_of_pandas,
)


def taken(source, folder: Path) -> Imported:
    return import_table(DatasetStore(folder / "data"), "t", source, imported_at=NOW, pictures=False)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(columns=st.lists(COLUMNS, min_size=1, max_size=4), write=st.sampled_from(FAST))
def test_any_table_of_any_writer_is_the_same_or_the_report_says_where_it_is_not(columns: list[list], write) -> None:
    table = pl.DataFrame({"first": [*range(ROWS)]} | {f"c{n}": column for n, column in enumerate(columns)})
    assume(all(column.null_count() < ROWS for column in table))
    with TemporaryDirectory() as name:
        folder = Path(name)
        try:
            done = taken(write(table, folder), folder)
        except BadRowsError:  # a text that a spreadsheet would run
            return
        stored = pl.read_parquet(done.folder / "data.parquet")
        for column in table.columns:
            pairs = zip(table[column].to_list(), stored[column].to_list(), strict=True)
            if not all(agree(*pair) for pair in pairs):
                assert done.facts.notes[column], (write.__name__, table[column].to_list(), stored[column].to_list())


def written(value: float, mark: str, group: str, decimals: int) -> str:
    """Return a number as people write it."""
    whole, _, fraction = f"{abs(value):,.{decimals}f}".partition(".")
    shown = whole.replace(",", group) + (mark + fraction if fraction else "")
    return f"-{shown}" if value < 0 else shown


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_nothing_is_wrong_in_silence(data) -> None:
    """Headers, marks, encodings and units are changed; in a column that became numbers each is what was meant."""
    separator = data.draw(st.sampled_from(",;\t|"))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]))
    header, shown, truth = ["id"], [[str(n) for n in range(ROWS)]], []
    for n in range(data.draw(st.integers(1, 3))):
        mark = data.draw(st.sampled_from(".,"))
        unit = data.draw(st.sampled_from(["", "", " kg", "mg/dl", " a", "E5"]))
        groups = ["", "", "'", " ", "." if mark == "," else ","]
        group = "" if unit == "E5" else data.draw(st.sampled_from(groups))
        decimals = 0 if unit == "E5" else data.draw(st.integers(0, 4))  # 1.5E5 can be nothing but a number
        values = data.draw(st.lists(st.floats(-1e7, 1e7), min_size=ROWS, max_size=ROWS))
        values = [float(f"{value:.{decimals}f}") for value in values]
        cells = [written(value, mark, group, decimals) + unit for value in values]
        if data.draw(st.booleans()):
            place = data.draw(st.integers(0, ROWS - 1))
            cells[place] = data.draw(
                st.sampled_from(["", "NA", "-", "n/a", "#DIV/0!", "inf", "soon", "1,5", "1.5", "2a", "-9"])
            )
        title = data.draw(st.sampled_from(["Größe, m", "x;y", "Wert [kg]", "a b", "crea", "2019"]))
        header.append(f"{title} {n}" if title != "2019" else title)
        shown.append(cells)
        truth.append((values, cells, unit))
    quote = lambda cell: f'"{cell}"' if separator in cell else cell  # noqa: E731
    lines = [separator.join(map(quote, row)) for row in (header, *zip(*shown, strict=True))]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "t.csv").write_bytes(("\n".join(lines) + "\n").encode(encoding))
        try:
            options = Options(encoding="cp1252" if encoding == "cp1252" else None)
            done = taken(open_source(str(folder / "t.csv"), options), folder)
        except DatasetError:
            return
        columns = done.description.columns
        stored = pl.read_parquet(done.folder / "data.parquet")
        if len(columns) != len(header):
            assert done.facts.remarks, (lines, stored)
            return
        for (values, cells, unit), column in zip(truth, columns[1:], strict=True):
            notes, found = done.facts.notes[column.name], stored[column.name].to_list()
            if column.kind in NUMERIC:
                for value, cell, one in zip(values, cells, found, strict=True):
                    plain = {"1,5": 1.5, "1.5": 1.5, "-9": -9.0}.get(cell, value)
                    if cell in GONE:
                        assert one is None, (lines, found)
                        assert cell == "" or notes, (lines, found)
                    else:
                        assert agree(plain, one), (lines, found, notes)
                assert unit not in {" a", "E5"} or all(unit not in cell for cell in cells), (lines, found)
            elif column.kind is ColumnKind.DATE:
                raise AssertionError((lines, found))
