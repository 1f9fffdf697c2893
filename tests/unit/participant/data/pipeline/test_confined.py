"""An import that exceeds its limits ends with a clear message, and harms no other process."""

import os
import signal
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from participant.data.model.declaration import Declaration
from participant.data.model.errors import BadRowsError, HeaderError, ImportLimitError, SourceError
from participant.data.pipeline import confined
from participant.data.sources.choose import Options
from participant.data.store.store import DatasetStore
from relay.service.memory import Limits
from tests.support.tables import NOW


@pytest.fixture
def take(tmp_path: Path):
    def take(path: Path | str, *, memory_mib: int = 1024, minutes: float = 5, show=lambda *_, **__: None, **declared):
        return confined.run(
            DatasetStore(tmp_path / "data"),
            "t",
            str(path),
            options=Options(),
            declared=Declaration.model_validate(declared, strict=False),
            imported_at=NOW,
            mapped=True,
            pictures=False,
            limits=Limits(memory_mib=memory_mib, minutes=minutes),
            show=show,
        )

    return take


def test_what_comes_of_an_import_comes_back(take, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("age,seen\n61,2020-01-31\nold,2020-02-01\n")
    steps: list[str] = []
    with pytest.raises(BadRowsError, match="1 of 2 rows are bad") as caught:
        take(tmp_path / "t.csv", columns={"age": {"type": "integer"}})
    assert (caught.value.folder / "bad-rows.csv").read_text().count("old") == 1
    done = take(
        tmp_path / "t.csv",
        show=lambda step, **_: steps.append(step),
        bad_rows=0.5,
        columns={"age": {"type": "integer"}},
    )
    assert (done.read, done.bad, done.repeated, done.description.version) == (2, 1, 0, 1)
    assert pl.read_parquet(done.folder / "data.parquet").rows() == [(61, date(2020, 1, 31))]
    assert {"load", "validate", "store"} <= {*steps}
    assert {"load", "report"} <= done.seconds.keys()


@pytest.mark.parametrize(
    ("text", "error", "words"), [("", SourceError, "is empty"), ("7731,2\n1,2\n", HeaderError, "no proper name")]
)
def test_errors_come_back_as_they_are(take, tmp_path: Path, text: str, error: type, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(error, match=words) as caught:
        take(tmp_path / "t.csv")
    assert type(caught.value) is error
    with pytest.raises(SourceError, match="no file"):
        take(tmp_path / "gone.csv")


def long_text(path: Path) -> None:
    """A megabyte of text, a thousand times, in some kilobytes."""
    pl.DataFrame({"a": pl.Series(["x" * (1 << 20)] * 1000), "b": range(1000)}).write_parquet(path)


def repeated_rows(path: Path) -> None:
    """A row of a sheet that stands for six thousand, of sixteen thousand cells each."""
    from odf.opendocument import OpenDocumentSpreadsheet
    from odf.table import Table, TableCell, TableRow
    from odf.text import P

    document, sheet = OpenDocumentSpreadsheet(), Table(name="s")
    for repeat in (1, 6_000):
        row = TableRow(numberrowsrepeated=repeat)
        cell = TableCell(valuetype="string", numbercolumnsrepeated=16_384)
        cell.addElement(P(text="x"))
        row.addElement(cell)
        sheet.addElement(row)
    document.spreadsheet.addElement(sheet)
    document.save(path)


@pytest.mark.parametrize(("make", "name"), [(long_text, "t.parquet"), (repeated_rows, "t.ods")])
def test_a_small_file_that_asks_for_all_memory_is_refused(take, tmp_path: Path, make, name: str) -> None:
    make(tmp_path / name)
    assert (tmp_path / name).stat().st_size < 1 << 20
    with pytest.raises(ImportLimitError, match="512 MiB of memory, the limit that import_memory_mib sets"):
        take(tmp_path / name, memory_mib=512)
    assert [*(tmp_path / "data").glob(".import-*")] == []
    assert DatasetStore(tmp_path / "data").list() == ()


def test_an_import_that_takes_too_long_is_ended(take, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 1_000_000)
    with pytest.raises(ImportLimitError, match=r"took longer than 0\.001 minutes, the limit that import_minutes sets"):
        take(tmp_path / "t.csv", minutes=0.001)
    assert [*(tmp_path / "data").glob(".import-*")] == []


def test_a_process_that_is_killed_leaves_nothing(take, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 10)

    def kill(**_) -> None:
        for child in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
            for pid in child.read_text().split():
                if confined.__name__ in Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(int(pid), signal.SIGKILL)

    with pytest.raises(ImportLimitError, match="nothing was stored"):
        take(tmp_path / "t.csv", show=lambda step, done, of, rows: kill())
    assert [*(tmp_path / "data").glob(".import-*")] == []
