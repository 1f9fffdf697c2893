"""A catalogue tells which site has which variables, in bands, and accepts entries only from members."""

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.projects.catalogue import as_facts, as_words, complete, gather, read_files
from participant.data.store.store import DatasetStore
from participant.policy.rules import Offer, RefusedError
from participant.projects.catalogue import entry, entry_of, export_entry
from participant.records.ledger import TABLES, Ledger
from participant.study.catalogue import FLOOR, Band, CatalogueEntry, CatalogueError, SignedEntry, share
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from secagg.identity import Identity
from tests.support.tables import import_csv

PROJECT = UUID(int=7)
TERMS = ProjectTerms.model_validate(
    {
        "purpose": "weights",
        "dataset": "lung",
        "columns": ("age", "sex", "weight"),
        "statistics": ("counts",),
        "variables": [{"code": "weight", "label": "Body weight", "type": "real", "unit": "kg"}],
    },
    strict=False,
)
OFFER = Offer(PROJECT, bytes(32), TERMS)
SITES = {name: Identity(bytes([number]) * 32) for number, name in enumerate(("north", "south"), 1)}
NAMES = {identity.public: name for name, identity in SITES.items()}


def stored(folder: Path, rows: int, weight: str = "weight [kg]") -> DatasetStore:
    folder.mkdir()
    lines = "".join(f"{40 + n % 9},{n % 2},{60 + n % 7}.5,north\n" for n in range(rows))
    (folder / "t.csv").write_text(f"age,sex,{weight},ward\n{lines}")
    store = DatasetStore(folder / "data")
    import_csv(store, "lung", folder / "t.csv")
    return store


@given(st.integers(0, 1 << 40))
def test_bands_hide_small_counts_and_are_powers_of_two_above(rows: int) -> None:
    band = Band.of(rows)
    assert band.low <= rows < band.high
    assert (band.low, band.high) == (0, FLOOR) or (band.low >= FLOOR and band.high == 2 * band.low)
    assert Band.model_validate_json(band.model_dump_json()) == band


def test_what_is_no_band_is_refused() -> None:
    for low, high in ((0, 5), (12, 13), (33, 66), (64, 256)):
        with pytest.raises(ValueError, match="not the limits of a band"):
            Band(low=low, high=high)


def test_shares_are_coarse_and_say_nothing_of_small_tables() -> None:
    assert [share(missing, 100) for missing in (0, 1, 24, 25, 50, 75, 100)] == [
        "none", "some", "some", "a quarter", "half", "most", "most",
    ]  # fmt: skip
    assert share(0, FLOOR - 1) == share(1, FLOOR - 1) == "some"


def test_an_entry_is_the_description_in_bands(tmp_path: Path) -> None:
    store = stored(tmp_path / "a", 100)
    made = entry_of(OFFER, store, None)
    assert str(made.rows) == "64 to 127"
    assert [(one.code, one.type, one.unit, one.mapped) for one in made.variables] == [
        ("age", "integer", "", False),
        ("sex", "integer", "", False),
        ("weight", "real", "kg", True),
    ]
    assert CatalogueEntry.decode(made.encode()) == made
    assert b"ward" not in made.encode()
    assert made == entry(PROJECT, TERMS, store.describe("lung"))
    other = stored(tmp_path / "b", 101)
    assert entry_of(OFFER, other, None) == made  # one patient more shows nowhere


def test_the_policy_decides(tmp_path: Path) -> None:
    store = stored(tmp_path / "a", 9)
    with pytest.raises(RefusedError, match="fewer rows than this site's floor"):
        entry_of(OFFER, store, None)
    policy = tmp_path / "policy.toml"
    policy.write_text('minimum_rows = 5\ndatasets = ["other"]\n')
    with pytest.raises(RefusedError, match="not released"):
        entry_of(OFFER, store, policy)


def test_a_column_in_another_coding_is_not_what_the_project_means(tmp_path: Path) -> None:
    store = stored(tmp_path / "a", 100, "weight [g]")
    with pytest.raises(RefusedError, match="column weight is not coded as the project defines it; map it"):
        entry_of(OFFER, store, None)


def test_entries_make_a_catalogue(tmp_path: Path) -> None:
    files = []
    for rows, (name, identity) in zip((100, 5000), SITES.items(), strict=True):
        made = entry_of(OFFER, stored(tmp_path / name, rows), None)
        journal = Journal(tmp_path / f"{name}-journal", TABLES)
        files.append(tmp_path / f"{name}.entry")
        export_entry(made, identity, journal, files[-1])
        (noted,) = Ledger(journal.connection).entries()
        assert (noted["what"], noted["project"]) == ("catalogue", str(PROJECT))
        journal.close()
    found = gather(PROJECT, TERMS, NAMES, read_files(files))
    assert complete(found) == ["age", "sex", "weight"]
    facts = as_facts(found)
    assert [(one["site"], one["rows"]) for one in facts["sites"]] == [
        ("north", {"low": 64, "high": 128}),
        ("south", {"low": 4096, "high": 8192}),
    ]
    assert "available at all 2 sites: age, sex, weight" in as_words(found)
    assert "4,096 to 8,191" in as_words(found)


def test_entries_that_do_not_count(tmp_path: Path) -> None:
    made = entry_of(OFFER, stored(tmp_path / "a", 100), None)
    good = SignedEntry.sign(made, SITES["north"]).encode()
    stranger = SignedEntry.sign(made, Identity(bytes([9]) * 32)).encode()
    elsewhere = SignedEntry.sign(made.model_copy(update={"project": UUID(int=8).hex}), SITES["north"]).encode()
    cases = {
        "not a member": stranger,
        "another project": elsewhere,
        "did not sign it": SITES["south"].public + good[32:],
        "canonical": good + b" ",
        "not a catalogue entry": good[:120],
        "is not a catalogue entry": b"",
        "not sign it": good[:40] + bytes([good[40] ^ 1]) + good[41:],
    }
    for complaint, data in cases.items():
        with pytest.raises(CatalogueError, match=f"it: .*{complaint}"):
            gather(PROJECT, TERMS, NAMES, {"it": data})
    newer = SignedEntry.sign(made.model_copy(update={"version": 2}), SITES["north"]).encode()
    assert gather(PROJECT, TERMS, NAMES, {"new": newer, "old": good}).entries["north"].version == 2
