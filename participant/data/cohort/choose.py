"""Opens a cohort's source: an OMOP database by its address, or a folder of FHIR resources."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from participant.data.cohort.dialect import check_dialect
from participant.data.cohort.fhir import FhirFolder, FhirRelations, check_cohort
from participant.data.cohort.language import CohortDefinition, CohortFile
from participant.data.cohort.omop import OmopRelations
from participant.data.cohort.source import CohortSource
from participant.data.cohort.statements import Statements, shown
from participant.data.model.errors import DatasetError, DeclarationError, SourceError
from participant.data.sources.database import address_of, engine_of, place_of, told


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortOptions:
    """Options for reading a cohort.

    Attributes:
        kind: kind of the source.
        name, text: name and contents of the cohort file.
        cdm_schema: schema of an OMOP database's clinical tables.
        vocabulary_schema: schema of its vocabularies, if another.
    """

    kind: Literal["omop", "fhir"]
    name: str
    text: str
    cdm_schema: str | None = None
    vocabulary_schema: str | None = None

    @classmethod
    def of(
        cls,
        kind: Literal["omop", "fhir"],
        path: Path,
        *,
        cdm_schema: str | None = None,
        vocabulary_schema: str | None = None,
    ) -> "CohortOptions":
        """Read the cohort file, which is parsed later.

        Raises:
            DeclarationError: there is no such file, or it is not text.
            SourceError: an option does not apply to this kind of source.
        """
        if kind == "fhir" and (cdm_schema or vocabulary_schema):
            raise SourceError("--cdm-schema and --vocabulary-schema belong to OMOP databases")
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise DeclarationError(f"there is no file {path}") from None
        except UnicodeDecodeError as error:
            raise DeclarationError(f"{path.name} is not text in UTF-8: byte {error.start}") from None
        return cls(kind=kind, name=path.name, text=text, cdm_schema=cdm_schema, vocabulary_schema=vocabulary_schema)

    @property
    def file(self) -> CohortFile:
        """The cohort file."""
        return CohortFile(name=self.name, text=self.text)


def open_cohort(place: str, options: CohortOptions) -> CohortSource:
    """Return the source of a cohort.

    Args:
        place: database's address, or the folder's path.
        options: cohort file and options.

    Raises:
        DeclarationError: the cohort file is wrong, or names concepts that do not exist; the message says where.
        SourceError: the data cannot be read, or nobody is in the cohort.
    """
    cohort = options.file.parse()
    return _open_omop(place, cohort, options) if options.kind == "omop" else _open_fhir(Path(place), cohort, options)


def sql_of(place: str, options: CohortOptions) -> str:
    """Return the SQL that would run in an OMOP database, which is not connected to.

    Raises:
        DeclarationError, SourceError: as for `open_cohort`.
    """
    dialect = address_of(place).get_backend_name()
    check_dialect(dialect)
    return shown(Statements(cohort := options.file.parse(), _relations(cohort, options)), dialect)


def _open_omop(url: str, cohort: CohortDefinition, options: CohortOptions) -> CohortSource:
    engine = engine_of(url)
    check_dialect(engine.dialect.name)
    level = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    if engine.dialect.name == "sqlite":
        _check_there(engine.url.database)
        level = {}
    with ExitStack() as opened:
        opened.callback(engine.dispose)
        try:
            connection = opened.enter_context(engine.connect()).execution_options(**level)
            relations = _relations(cohort, options)
            remarks = relations.check(connection, options.name)
        except DatasetError:
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise what they like, and their words quote the address
            raise told("the database cannot be read", error) from None
        source = CohortSource(
            cohort, options.file, relations, connection=connection, kind="omop", place=place_of(engine), notes=remarks
        )
        source.keep(opened.pop_all())
        return source


def _open_fhir(folder: Path, cohort: CohortDefinition, options: CohortOptions) -> CohortSource:
    read = FhirFolder(folder, cohort, check_cohort(cohort, options.name))
    with ExitStack() as opened:
        engine = read.engine()
        opened.callback(engine.dispose)
        connection = opened.enter_context(engine.connect())
        source = CohortSource(
            cohort,
            options.file,
            FhirRelations(cohort),
            connection=connection,
            kind="fhir",
            place=f"folder {folder.name}",
            notes=tuple(read.notes()),
        )
        source.keep(opened.pop_all())
        return source


def _relations(cohort: CohortDefinition, options: CohortOptions) -> OmopRelations:
    return OmopRelations(cohort, options.cdm_schema, options.vocabulary_schema)


def _check_there(database: str | None) -> None:
    """Refuse a database of SQLite that does not exist; SQLite would make an empty one."""
    if database and not Path(database).is_file():
        raise SourceError(f"there is no file {Path(database).name}")
