"""`secagg-participant data import` and `map`: what makes a new version of a dataset."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from participant.commands.options import DatasetName, ShowProgress, SiteOptions
from participant.data.cohort.choose import CohortOptions, sql_of
from participant.data.model.declaration import Declaration
from participant.data.model.progress import logged, shown
from participant.data.model.summary import ImportSummary
from participant.data.pipeline import confined
from participant.data.pipeline.importing import map_dataset
from participant.data.pipeline.mapping import Mapping, definitions_of
from participant.data.sources.choose import Options
from participant.data.store.store import DatasetStore
from participant.projects.confirmation import View, find, view
from participant.settings.session import SiteSession, in_session
from relay.service.command import Commands
from relay.service.memory import Limits
from secagg.errors import ParameterError

app = Commands()

BadRows = Annotated[
    float | None, typer.Option(help="share of rows that may be dropped as bad, for example 0.01; default: none")
]


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="name by which projects ask for the dataset")],
    common: SiteOptions,
    source: Annotated[
        str | None,
        typer.Argument(help="file (CSV, Parquet, Excel, .ods, SAS, SPSS, Stata) or database address (dialect://...)"),
    ] = None,
    url_file: Annotated[
        Path | None, typer.Option(help="file with the database address, to keep its password off the screen")
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="TOML file that declares the table")] = None,
    bad_rows: BadRows = None,
    separator: Annotated[
        str | None, typer.Option(help="CSV: cell separator; default: the one under which all lines agree")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="CSV, SAS, SPSS, Stata: for example cp1252; default: UTF-8 or the file's"),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="workbook: name of the sheet; default: the first")] = None,
    table: Annotated[str | None, typer.Option(help="SQL: table or view")] = None,
    query: Annotated[str | None, typer.Option(help="SQL: one SELECT statement")] = None,
    collection: Annotated[str | None, typer.Option(help="MongoDB: database.collection")] = None,
    cohort: Annotated[
        Path | None, typer.Option(help="TOML file of a cohort: one row a person, from --omop or --fhir")
    ] = None,
    omop: Annotated[
        str | None, typer.Option(help="address of an OMOP database (PostgreSQL, SQLite); or use --url-file")
    ] = None,
    fhir: Annotated[Path | None, typer.Option(help="folder of FHIR resources, as bulk exports write them")] = None,
    cdm_schema: Annotated[str | None, typer.Option(help="OMOP: schema of the tables")] = None,
    vocabulary_schema: Annotated[str | None, typer.Option(help="OMOP: schema of the vocabularies, if another")] = None,
    show_sql: Annotated[bool, typer.Option("--show-sql", help="OMOP: show the SQL, and do not run it")] = False,
    mapping: Annotated[
        bool, typer.Option("--mapping/--no-mapping", help="apply the previous version's mapping, if it has one")
    ] = True,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="plot distributions and missing values in the report")
    ] = True,
    progress: ShowProgress = True,
    verbose: Annotated[bool, typer.Option("--verbose", help="also show how each column was read")] = False,
    log: Annotated[Path | None, typer.Option(help="file for a debug log: every step, and the error; no values")] = None,
) -> None:
    """Import a table as a dataset's next version: clean names, drop duplicates, convert, validate, report."""
    settings = common.settings()
    declared = Declaration() if schema is None else Declaration.read(schema)
    if bad_rows is not None:
        declared = declared.allowing(bad_rows)
    options: Options | CohortOptions = Options(
        separator=separator, encoding=encoding, sheet=sheet, table=table, query=query, collection=collection
    )
    if cohort is not None:
        if source is not None or options != Options():
            raise ParameterError(
                "with --cohort, the source is --omop or --fhir, and options of other sources do not apply"
            )
        options = CohortOptions.of(
            "omop" if fhir is None else "fhir", cohort, cdm_schema=cdm_schema, vocabulary_schema=vocabulary_schema
        )
        place = _place_of_cohort(omop, fhir, url_file)
        if options.kind == "omop":
            sql = sql_of(place, options)
            if show_sql:
                common.report({"sql": sql}, sql)
                return
            if progress:
                typer.echo(sql if _on_terminal(common) else json.dumps({"event": "sql", "sql": sql}), err=True)
        elif show_sql:
            raise ParameterError("--show-sql is for OMOP databases")
    elif omop or fhir or cdm_schema or vocabulary_schema or show_sql:
        raise ParameterError("--omop, --fhir and their options need a cohort: --cohort FILE")
    else:
        place = _place(source, url_file)
    with shown(wanted=progress, as_json=common.as_json) as on_screen, logged(on_screen, log) as show:
        done = confined.run(
            DatasetStore(settings.datasets),
            name,
            place,
            options=options,
            declared=declared,
            imported_at=datetime.now(UTC),
            mapped=mapping,
            pictures=pictures,
            limits=Limits(memory_mib=settings.import_memory_mib, minutes=settings.import_minutes),
            show=show,
        )
    _report(done, common, verbose=verbose)


@app.command("map")
def map_(
    name: DatasetName,
    mapping: Annotated[Path, typer.Argument(help="TOML file that maps each of the project's variables to its source")],
    common: SiteOptions,
    definitions: Annotated[
        Path | None, typer.Option(help="TOML file with the project's variables, if the project is not on the relay")
    ] = None,
    project: Annotated[str | None, typer.Option(help="name or ID of the project whose variables to use")] = None,
    bad_rows: BadRows = None,
    progress: ShowProgress = True,
) -> None:
    """Map a dataset's columns to a project's variables, in a new version and in every later import."""
    if (definitions is None) == (project is None):
        raise ParameterError("name the project with --project, or a file of its variables with --definitions")
    store = DatasetStore(common.settings().datasets)
    known = definitions_of(definitions) if definitions else _view(str(project), common).terms.variables
    read = Mapping.read(mapping, known)
    with shown(wanted=progress, as_json=common.as_json) as show:
        done = map_dataset(store, name, read, mapped_at=datetime.now(UTC), bad_rows=bad_rows or 0.0, show=show)
    _report(done.summary, common)


def _view(project: str, common: SiteOptions) -> View:
    async def work(session: SiteSession) -> View:
        return await view(session.relay, await find(session.relay, project))

    return in_session(common.settings(), work)


def _place(source: str | None, url_file: Path | None) -> str:
    if (source is None) == (url_file is None):
        raise ParameterError("name a file or a database address, or use --url-file with a file that holds the address")
    return source if source is not None else Path(str(url_file)).read_text(encoding="utf-8").strip()


def _place_of_cohort(omop: str | None, fhir: Path | None, url_file: Path | None) -> str:
    if sum(one is not None for one in (omop, fhir, url_file)) != 1:
        raise ParameterError("name one source of the cohort: --omop ADDRESS, --url-file FILE or --fhir FOLDER")
    return str(fhir) if fhir is not None else _place(omop, url_file)


def _on_terminal(common: SiteOptions) -> bool:
    """Return whether a person reads the progress; programs get JSON lines."""
    return sys.stderr.isatty() and not common.as_json


def _report(done: ImportSummary, common: SiteOptions, *, verbose: bool = False) -> None:
    seconds = {step: round(taken, 3) for step, taken in done.seconds.items()}
    facts: dict[str, Any] = done.description.model_dump(mode="json")
    facts |= {"seconds": seconds, "read": done.read, "repeated": done.repeated, "folder": str(done.folder)}
    if done.attrition:
        facts["attrition"] = [step._asdict() for step in done.attrition]
    lines = [
        *(f"{step.remaining:>10,} remain; {step.persons:,} left out: {step.words}" for step in done.attrition[1:]),
        done.description.in_words(),
        f"{done.read:,} rows read, {done.bad:,} bad and {done.repeated:,} repeated rows dropped",
        ", ".join(f"{step} {taken:.1f} s" for step, taken in seconds.items()),
        *(_columns(done) if verbose else ()),
        f"report: {done.folder / 'report.html'}",
    ]
    common.report(facts, "\n".join(lines))


def _columns(done: ImportSummary) -> list[str]:
    """Return a line for each column: its name in the source, its type, and what is missing."""
    return [
        f"  {one.name:<24} {one.kind:<9} {one.unit:<8} {one.missing:>12,} missing"
        + (f"  from {one.header!r}" if one.header else "")
        for one in done.description.columns
    ]
