"""Hostile files are refused with a clear message, in bounded time and memory, each in its own limited process.

The limit applies to address space in addition to that of the process once everything is loaded, so that a refusal
fails here if it first allocates what the file asks for.
"""

import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import polars as pl
import pytest
from backports import zstd

from tests.unit.participant.data.sources.test_sources import workbook, write_archive

ABOVE_MIB = 700
SECONDS = 200
SCRIPT = """
import json, resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from participant.data.model.errors import DatasetError
from participant.data.store.store import DatasetStore
from participant.data.pipeline.importing import import_table
from participant.data.sources import archive, csv, parquet, spreadsheet
from participant.data.sources.choose import Options, open_source

folder, above = Path(sys.argv[1]), int(sys.argv[2])
archive.MAX_UNPACKED_BYTES = 64 << 20  # a smaller bomb is made faster
status = lambda name: int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])

def attempt(path):
    start, before = time.monotonic(), status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    said, store = None, DatasetStore(folder / "data")
    try:
        import_table(store, path.stem, open_source(str(path), Options()), imported_at=datetime.now(UTC))
    except DatasetError as error:
        said = str(error)
    except MemoryError:
        said = "out of memory"
    facts = dict(said=said, stored=len(store.list()), seconds=time.monotonic() - start)
    print(json.dumps({"name": path.stem, "mib": (status("VmHWM") - before) >> 10} | facts), flush=True)

(folder / "warm.csv").write_text("a,b\\n1,\\n")
attempt(folder / "warm.csv")
DatasetStore(folder / "data").drop("warm")
resource.setrlimit(resource.RLIMIT_AS, (status("VmSize") * 1024 + above * 2**20,) * 2)
for path in sorted(folder.glob("*.*")):
    if path.stem != "warm":
        attempt(path)
"""


def zip_bomb(path: Path) -> None:
    """A tenth of a megabyte that unpacks to a thousand times as much."""
    path = path.with_suffix(".xlsx")
    workbook(path, [["a"], ["1"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", bytes(100 << 20))


def two_far_cells(path: Path) -> None:
    """Two cells that span 17 billion."""
    cells = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    write_archive(path.with_suffix(".xlsx"), f"<sheetData>{cells}</sheetData>")


def many_members(path: Path) -> None:
    write_archive(path.with_suffix(".xlsx"), "<sheetData/>", **{f"m{n}": b"" for n in range(3000)})


def lying_sizes(path: Path) -> None:
    """The directory says that a member has 10 bytes; it has a megabyte."""
    path = path.with_suffix(".xlsx")
    write_archive(path, "<sheetData/>" + " " * (1 << 20))
    data = bytearray(path.read_bytes())
    at = data.rfind(b"xl/worksheets/sheet1.xml") - 46
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    path.write_bytes(data)


def billion_laughs(path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    path = path.with_suffix(".xlsx")
    workbook(path, [["a"], ["1"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/styles.xml", f"<!DOCTYPE x [{entities}]><x>&e11;</x>")
        archive.writestr("xl/sharedStrings.xml", f"<!DOCTYPE x [{entities}]><sst><si><t>&e11;</t></si></sst>")


def beginnings_of_cells(path: Path) -> None:
    """Cells with an error that never end, and tags that never do."""
    write_archive(path.with_suffix(".xlsx"), '<sheetData><row r="1">' + '<c t="e">' * 400_000 + "<c " * 400_000)


def million_columns(path: Path) -> None:
    path.with_suffix(".csv").write_bytes(b",".join(b"c%d" % n for n in range(10**6)) + b"\n" + b"1," * 10**6 + b"1\n")


def hundred_thousand_columns(path: Path) -> None:
    """A header that is short enough for a line."""
    path.with_suffix(".csv").write_bytes(b"c," * 100_000 + b"c\n" + b"1," * 100_000 + b"1\n")


def wide_parquet(path: Path) -> None:
    pl.DataFrame({f"c{n}": [1] for n in range(20_000)}).write_parquet(path.with_suffix(".parquet"))


def huge_field(path: Path) -> None:
    with path.with_suffix(".csv").open("wb") as file:
        file.write(b'a,b\n1,"')
        for _ in range(64):
            file.write(b"x" * (1 << 20))


def nul_bytes(path: Path) -> None:
    with path.with_suffix(".csv").open("wb") as file:
        file.write(b"a,b\n1,2\n")
        file.seek(2 << 30)  # a hole: two gigabytes of NUL
        file.write(b"\n")


def other_encoding(path: Path) -> None:
    path.with_suffix(".csv").write_bytes(b"a,b\n" + bytes(range(128, 256)) * 1000 + b",1\n")


def binary(path: Path) -> None:
    path.with_suffix(".csv").write_bytes(bytes(range(1, 256)) * 5000)


def open_quote(path: Path) -> None:
    path.with_suffix(".csv").write_bytes(b'a,b\n"1,2\n' + b"3,4\n" * 500_000)


def quotes(path: Path) -> None:
    path.with_suffix(".csv").write_bytes(b"a,b\n" + b'"' * 900_000 + b",1\n" + b'"\n' * 100_000)


def no_line_feeds(path: Path) -> None:
    path.with_suffix(".csv").write_bytes(b"a,b\n" + b"1,2\r" * 2_000_000)


def all_bad(path: Path) -> None:
    path.with_suffix(".csv").write_bytes(b"a,b\n" + b"1\n" * 3_000_000)


def all_blank(path: Path) -> None:
    path.with_suffix(".csv").write_bytes(b"a,b\n" + b"\n" * 20_000_000)


def formulas(path: Path) -> None:
    path.with_suffix(".csv").write_bytes(b"a,b\n" + b'=HYPERLINK(""http://x""),1\n@SUM(A1),2\n')


def formulas_in_excel(path: Path) -> None:
    workbook(path.with_suffix(".xlsx"), [["a", "b"], ["=cmd|' /C calc'!A0", "1"]])


def nested_parquet(path: Path) -> None:
    column: pl.Series = pl.Series("a", [1])
    for _ in range(60):
        column = pl.DataFrame({"a": column}).to_struct("a")
    pl.DataFrame({"a": column}).write_parquet(path.with_suffix(".parquet"))


def long_footer(path: Path) -> None:
    path.with_suffix(".parquet").write_bytes(b"PAR1" + bytes(100) + struct.pack("<I", 2**31) + b"PAR1")


def wrong_footer(path: Path) -> None:
    path.with_suffix(".parquet").write_bytes(b"PAR1" + bytes(range(100)) + struct.pack("<I", 100) + b"PAR1")


def zstd_bomb(path: Path) -> None:
    """A gibibyte of one letter in a hundred kilobytes."""
    with zstd.open(path.with_suffix(".zst"), "wb") as file:
        for _ in range(1 << 10):
            file.write(b"x" * (1 << 20))


def torn_zstd(path: Path) -> None:
    path.with_suffix(".zst").write_bytes(zstd.compress(b"a,b\n" + b"1,2\n" * 100_000)[:-3])


def parquet_bomb(path: Path) -> None:
    """200 million equal values in some kilobytes."""
    frame = pl.DataFrame({"a": pl.repeat(1, 200_000_000, dtype=pl.Int8, eager=True)})
    frame.write_parquet(path.with_suffix(".parquet"))


HOSTILE: dict[Callable[[Path], None], str | None] = {
    zip_bomb: "unpacks to more than 64 MiB",
    two_far_cells: "spans 17,179,869,184 cells",
    many_members: "is not a workbook",
    lying_sizes: "is not a workbook|no rows below",
    billion_laughs: None,
    beginnings_of_cells: "is not a workbook that can be read|no rows below",
    million_columns: "longer than",
    hundred_thousand_columns: "the table has 100,001 columns; at most 2,000",
    wide_parquet: "the table has 20,000 columns; at most 2,000",
    huge_field: "line 2 of huge_field.csv is longer than",
    nul_bytes: "holds NUL bytes",
    other_encoding: "is not UTF-8: line 2",
    binary: "is not UTF-8",
    open_quote: "1 of 500,001 rows are bad",
    quotes: "rows are bad",
    no_line_feeds: "carriage return",
    all_bad: "more than 1,000,000 rows are bad",
    formulas: "2 of 2 rows are bad",
    formulas_in_excel: "1 of 1 rows are bad",
    nested_parquet: "hold lists, structures or bytes",
    long_footer: "the description inside long_footer.parquet is longer",
    wrong_footer: "is not a Parquet file that can be read",
    all_blank: "more than 1,000,000 rows have no value",
    zstd_bomb: "longer than",
    torn_zstd: "is damaged, encrypted or torn",
    parquet_bomb: "more than 134,217,728 rows",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, dict]:
    """What became of each file, one after the other in one process."""
    folder = tmp_path_factory.mktemp("hostile")
    for make in HOSTILE:
        make(folder / make.__name__)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(ABOVE_MIB)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    rmtree(folder)
    print(done.stderr[-2000:])
    return {one["name"]: one for one in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_a_hostile_file_is_refused(outcomes: dict[str, dict], make: Callable[[Path], None]) -> None:
    seen, said = outcomes[make.__name__], HOSTILE[make]
    print(f"{make.__name__}: {seen['seconds']:.2f} s, {seen['mib']} MiB above: {seen['said']}")
    assert seen["mib"] < ABOVE_MIB
    if said is None:  # whatever becomes of it: it expands to nothing
        assert seen["said"] is None or "workbook" in seen["said"]
        return
    assert seen["said"] is not None
    assert any(one in seen["said"] for one in said.split("|")), seen["said"]
