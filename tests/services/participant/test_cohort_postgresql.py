"""A cohort from a real PostgreSQL server, in schemas of its own, is that of SQLite, row for row."""

from pathlib import Path

import polars as pl
import pytest

from participant.data.cohort.choose import CohortOptions, open_cohort
from participant.data.model.errors import DeclarationError, SourceError
from participant.data.pipeline.importing import import_table
from participant.data.store.store import DATA, DatasetStore
from tests.support import omop
from tests.support.postgres import Postgres
from tests.support.tables import NOW

PATIENTS = omop.patients(400)


@pytest.fixture(scope="module")
def server(testrun_uid: str) -> Postgres:
    """Return a database with clinical tables in one schema and vocabularies in another."""
    shared = Postgres.shared(testrun_uid)
    server = Postgres(shared.empty(), shared.folder)
    omop.write(server.url, PATIENTS, schema="cdm")
    server.execute("CREATE SCHEMA vocabulary")
    omop.write(server.url, omop.vocabulary(), schema="all_of_it")
    for table in ("concept", "concept_ancestor"):
        server.execute(f"DROP TABLE cdm.{table}")
        server.execute(f"ALTER TABLE all_of_it.{table} SET SCHEMA vocabulary")
    return server


def options(cdm: str = "cdm", vocabulary: str | None = "vocabulary", text: str = omop.COHORT) -> CohortOptions:
    return CohortOptions(kind="omop", name="c.toml", text=text, cdm_schema=cdm, vocabulary_schema=vocabulary)


def test_both_databases_give_the_same_table(server: Postgres, tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "data")
    alone = CohortOptions(kind="omop", name="c.toml", text=omop.COHORT)
    url = omop.sqlite(tmp_path / "omop.db", omop.vocabulary(), PATIENTS)
    one = import_table(store, "s", open_cohort(url, alone), imported_at=NOW, pictures=False)
    two = import_table(store, "p", open_cohort(server.url, options()), imported_at=NOW, pictures=False)
    tables = [pl.read_parquet(done.folder / DATA) for done in (one, two)]
    assert tables[0].height > 100
    assert tables[0].equals(tables[1])
    assert one.facts.origin.attrition == two.facts.origin.attrition
    assert one.facts.notes == two.facts.notes
    assert [one.reasons for one in one.description.columns] == [two.reasons for two in two.description.columns]
    told = (two.folder / "report.md").read_text()
    assert "postgresql" in told
    assert server.url not in told


def test_a_cohort_writes_nothing_and_names_what_is_missing(server: Postgres) -> None:
    with pytest.raises(SourceError, match=r"schema cdm has no table concept that this user can see"):
        open_cohort(server.url, options(vocabulary=None))
    with pytest.raises(SourceError, match=r"schema nowhere has no table person that this user can see"):
        open_cohort(server.url, options(cdm="nowhere"))
    with pytest.raises(DeclarationError, match=r"concepts\.metformin: .* no concept 7"):
        open_cohort(server.url, options(text=omop.COHORT.replace("1503297", "7")))
    server.execute("ALTER TABLE cdm.death ALTER COLUMN death_date TYPE text USING death_date::text")
    server.execute("UPDATE cdm.death SET death_date = 'not known'")
    with pytest.raises(SourceError, match="the cohort cannot be read") as caught:
        open_cohort(server.url, options())
    assert "not known" not in str(caught.value)
