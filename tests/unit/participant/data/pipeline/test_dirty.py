"""A raw table from a ward, in four encodings, and the report that the data manager reads."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from participant.data.model.description import ColumnKind
from participant.data.model.errors import BadRowsError
from participant.data.store.store import DatasetStore
from tests.support.tables import imported

HEADER = "Patient-Nr;Größe (cm);Gewicht;Gewicht;Krea;Aufnahme;Raucher;Station;Kosten;Zeitpunkt;<b>Notiz</b>"
GOOD = [
    "A{n};1{n:02d};  72,5 kg ;72,5;1,{n:02d};{day};ja;Süd {ward};1.2{n:02d},50;03/04/2020;ok",
    "B{n};1{n:02d};80 kg;80,0;n/a;{iso};nein;Nord;2.0{n:02d},00;05/06/2020;<script>alert(1)</script>",
]
BAD = ["X1;180;75 kg;75;1,1;01.02.2020;ja;=HYPERLINK(1);1.000,00;01/01/2020;x", "X2;180;75 kg"]


def table() -> str:
    rows = [
        line.format(n=n, day=f"{1 + n % 28:02d}.03.2020", iso=f"2020-04-{1 + n % 28:02d}", ward=n % 3)
        for n in range(40, 90)
        for line in GOOD
    ]
    return "\r\n".join([HEADER, *rows[:50], *BAD, *rows[50:], ""])


class Page(HTMLParser):
    """What a browser would make of the report: its tags, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [str(value) for name, value in attrs if name in {"src", "href", "action"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.usefixtures("pictures")
def test_the_report_that_a_data_manager_wants(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "ward.csv"
    path.write_bytes(table().encode(encoding))
    store = DatasetStore(tmp_path / "data")
    named = "cp1252" if encoding == "cp1252" else None
    with pytest.raises(BadRowsError, match="2 of 102 rows are bad"):
        imported(store, "ward", path, encoding=named)
    done = imported(store, "ward", path, encoding=named, bad_rows=0.05)
    kinds = {column.name: (column.kind, column.unit) for column in done.description.columns}
    assert kinds == {
        "Patient-Nr": (ColumnKind.TEXT, ""),
        "Groesse": (ColumnKind.INTEGER, "cm"),
        "Gewicht": (ColumnKind.REAL, "kg"),
        "Gewicht_2": (ColumnKind.REAL, ""),
        "Krea": (ColumnKind.REAL, ""),
        "Aufnahme": (ColumnKind.DATE, ""),
        "Raucher": (ColumnKind.BOOLEAN, ""),
        "Station": (ColumnKind.TEXT, ""),
        "Kosten": (ColumnKind.REAL, ""),
        "Zeitpunkt": (ColumnKind.TEXT, ""),
        "b_Notiz_b": (ColumnKind.TEXT, ""),
    }
    loaded = store.load("ward", ["Kosten", "Gewicht", "Krea", "Raucher"])
    assert loaded["Kosten"][:2].tolist() == [1240.5, 2040.0]
    assert loaded["Gewicht"][:2].tolist() == [72.5, 80.0]
    assert loaded["Raucher"][:2].tolist() == [1.0, 0.0]
    assert str(loaded["Krea"][:2].tolist()) == "[1.4, nan]"
    for name in ("report.html", "report.md", "report.csv"):
        text = (done.folder / name).read_text()
        for told in (
            "the name Gewicht comes more than once",
            "unit cm from the name",
            "unit kg taken out of 101 cells",
            "decimal comma",
            "dates in 2 formats",
            "can be read in two ways: declare formats",
            "n/a (50)",
        ):
            plain = re.sub(r"\\(.)", r"\1", text).replace("&#39;", "'")
            assert told in plain, (name, told)
    page = Page((done.folder / "report.html").read_text())
    assert {"script", "iframe", "link", "form", "b>"}.isdisjoint(page.tags)
    assert page.fetched
    assert all(one.startswith("data:image/png;base64,") for one in page.fetched)
    assert len(page.fetched) == len(done.description.columns)  # the patients' numbers make no picture, the gaps do
    assert "<script>" not in (done.folder / "report.md").read_text().replace("\\<", "")
    bad = (done.folder / "bad-rows.csv").read_text().splitlines()
    assert sorted(bad[1:]) == [
        "52,Station,begins like a formula that a spreadsheet would run,'=HYPERLINK(1)",
        '53,,"3 cells, where the header has 11",',
    ]
