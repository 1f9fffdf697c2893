"""The data manager's commands: `secagg-participant data ...`. They never send any of a table's contents."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from participant.commands.options import AsJson, Config, Data, ProjectId
from participant.records.ledger import TABLES
from participant.settings.config import ParticipantConfig
from participant.settings.session import SiteSession, in_office
from relay.party.journal import FILE_NAME, Journal
from relay.service.command import report
from secagg.errors import ParameterError

if TYPE_CHECKING:
    from participant.data.model.description import Description
    from participant.data.model.progress import Show
    from participant.data.pipeline.importing import Imported
    from participant.data.store.store import DatasetStore
    from participant.projects.confirmation import View

data_app = typer.Typer(no_args_is_help=True, help="The site's datasets. These commands never send their contents.")

Name = Annotated[str, typer.Argument(help="name of the dataset")]
Version = Annotated[int | None, typer.Option(help="version; default: the newest")]
BadRows = Annotated[
    float | None, typer.Option(help="share of rows that may be dropped as bad, for example 0.01; default: none")
]
ShowProgress = Annotated[bool, typer.Option("--progress/--no-progress", help="show progress on stderr")]


@data_app.command("import")
def data_import(
    name: Annotated[str, typer.Argument(help="name by which projects ask for the dataset")],
    source: Annotated[
        str | None,
        typer.Argument(help="file (.csv .tsv .txt .parquet .xlsx .xlsm) or database address (dialect://...)"),
    ] = None,
    url_file: Annotated[
        Path | None, typer.Option(help="file with the database address, to keep its password off the screen")
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="TOML file that declares the table")] = None,
    bad_rows: BadRows = None,
    separator: Annotated[
        str | None, typer.Option(help="CSV: cell separator; default: detected from the header")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="CSV: for example utf-16 or cp1252; default: UTF-8")] = None,
    sheet: Annotated[str | None, typer.Option(help="Excel: name of the sheet; default: the first")] = None,
    table: Annotated[str | None, typer.Option(help="SQL: table or view")] = None,
    query: Annotated[str | None, typer.Option(help="SQL: one SELECT statement")] = None,
    collection: Annotated[str | None, typer.Option(help="MongoDB: database.collection")] = None,
    mapping: Annotated[
        bool, typer.Option("--mapping/--no-mapping", help="apply the previous version's mapping, if it has one")
    ] = True,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="plot distributions and missing values in the report")
    ] = True,
    progress: ShowProgress = True,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Import a table as a dataset's next version: clean names, drop duplicates, convert types, validate, report."""
    from participant.data.model.declaration import Declaration  # noqa: PLC0415  # only these commands need data frames
    from participant.data.pipeline.importing import import_table  # noqa: PLC0415
    from participant.data.pipeline.mapping import of_version  # noqa: PLC0415
    from participant.data.sources.choose import Options, open_source  # noqa: PLC0415

    store = _store(data, config)
    declared = Declaration() if schema is None else Declaration.read(schema)
    if bad_rows is not None:
        declared = declared.allowing(bad_rows)
    options = Options(
        separator=separator, encoding=encoding, sheet=sheet, table=table, query=query, collection=collection
    )
    opened = open_source(_place(source, url_file), options)
    with _shown(progress, as_json=as_json) as show:
        done = import_table(
            store,
            name,
            opened,
            imported_at=datetime.now(UTC),
            declared=declared,
            mapping=of_version(store, name) if mapping else None,
            show=show,
            pictures=pictures,
        )
    _report(done, as_json=as_json)


@data_app.command("list")
def data_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the newest version of each dataset."""
    found = _store(data, config).list()
    words = "\n".join(_described(one) for one in found) or "there are no datasets; import one with: data import"
    report({"datasets": [one.model_dump(mode="json") for one in found]}, words, as_json=as_json)


@data_app.command("show")
def data_show(
    name: Name, version: Version = None, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show a dataset's columns, versions, and the path of its report."""
    store = _store(data, config)
    described = store.describe(name, version)
    folder = store.folder(name, described.version)
    lines = [
        _described(described),
        f"versions: {', '.join(str(one) for one in store.versions(name))}; bad rows dropped: {described.bad_rows:,}",
        *(
            f"  {one.name:<24} {one.kind:<9} {one.unit:<8} {one.missing:>12,} missing  {one.label}"
            for one in described.columns
        ),
        f"report: {folder / 'report.html'}",
    ]
    facts = described.model_dump(mode="json") | {"versions": store.versions(name), "folder": str(folder)}
    report(facts, "\n".join(lines), as_json=as_json)


@data_app.command("verify")
def data_verify(
    name: Name, version: Version = None, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Check that a dataset is as it was imported: hash, rows, types, missing values."""
    described = _store(data, config).verify(name, version)
    facts = {"name": name, "version": described.version, "verified": True, "sha256": described.data.sha256}
    report(facts, f"{name} version {described.version} is as it was imported", as_json=as_json)


@data_app.command("drop")
def data_drop(
    name: Name,
    version: Annotated[int | None, typer.Option(help="version; default: all")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Remove a dataset or one version of it. Version numbers are never reused."""
    store = _store(data, config)
    dropped = [store.describe(name, version).version] if version else [*store.versions(name)]
    what = f"version {version}" if version else f"all {len(dropped)} versions"
    if dropped and not yes:
        if not sys.stdin.isatty():
            raise ParameterError("nothing was removed; to remove without a prompt, add --yes")
        typer.confirm(f"Remove {what} of {name}?", abort=True, err=True)
    _compare(store, name, data, config)
    store.drop(name, version)
    report({"name": name, "dropped": dropped}, f"removed: {what} of {name}", as_json=as_json)


@data_app.command("map")
def data_map(
    name: Name,
    mapping: Annotated[Path, typer.Argument(help="TOML file that maps each of the project's variables to its source")],
    definitions: Annotated[
        Path | None, typer.Option(help="TOML file with the project's [[variables]], if the project is not on the relay")
    ] = None,
    project: Annotated[UUID | None, typer.Option(help="project whose variables to use")] = None,
    bad_rows: BadRows = None,
    progress: ShowProgress = True,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Map a dataset's columns to a project's variables, in a new version and in every later import."""
    from participant.data.pipeline.importing import map_dataset  # noqa: PLC0415
    from participant.data.pipeline.mapping import Mapping, definitions_of  # noqa: PLC0415

    if (definitions is None) == (project is None):
        raise ParameterError("name the project with --project, or a file of its variables with --definitions")
    store = _store(data, config)
    known = definitions_of(definitions) if definitions else _view(UUID(str(project)), data, config).terms.variables
    read = Mapping.read(mapping, known)
    with _shown(progress, as_json=as_json) as show:
        done = map_dataset(store, name, read, mapped_at=datetime.now(UTC), bad_rows=bad_rows or 0.0, show=show)
    _report(done, as_json=as_json)


@data_app.command("catalogue")
def data_catalogue(
    project: ProjectId,
    send: Annotated[bool, typer.Option("--send", help="sign the entry and send it to the coordinator, sealed")] = False,
    export: Annotated[Path | None, typer.Option(help="sign the entry into this file instead")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show this site's entry for a project's catalogue; with --send, send it.

    An entry lists variables, their coding, and row counts in bands. Your policy must allow the project; the ledger
    records what is sent.
    """
    from participant.projects.catalogue import entry_of, export_entry, send_entry  # noqa: PLC0415

    settings = ParticipantConfig.load(data=data, config=config)
    seen = _view(project, data, config)
    entry = entry_of(seen.offer, _store(data, config), settings.policy)
    lines = [
        f"{entry.dataset} version {entry.version}: {entry.rows} rows",
        *(f"  {one.code:<24} {one.type:<9} {one.unit:<8} missing: {one.missing}" for one in entry.variables),
    ]

    async def work(office: SiteSession) -> None:
        if send:
            await send_entry(entry, office.identity, office.journal, office.relay)
            lines.append("sent to the coordinator")
        if export is not None:
            export_entry(entry, office.identity, office.journal, export)
            lines.append(f"signed: {export}")

    if send or export is not None:
        in_office(data, config, work)
    report(entry.model_dump(mode="json"), "\n".join(lines), as_json=as_json)


def _compare(store: "DatasetStore", name: str, data: Path | None, config: Path | None) -> None:
    """Carry the rows of earlier answers over to the newest version, while the older ones still exist."""
    from participant.policy.answer import carry  # noqa: PLC0415
    from participant.policy.differencing import AnsweredRows  # noqa: PLC0415

    folder = ParticipantConfig.load(data=data, config=config).data
    if not (folder / FILE_NAME).exists():
        return
    with closing(Journal(folder, TABLES)) as journal:
        records = AnsweredRows(journal.connection)
        if (earlier := records.row_sets(name)) and store.versions(name):
            carried = carry(store, store.describe(name), earlier)
            with journal.transaction():
                records.answer(name, carried)


def _view(project: UUID, data: Path | None, config: Path | None) -> "View":
    from participant.projects.confirmation import view  # noqa: PLC0415

    async def work(office: SiteSession) -> "View":
        return await view(office.relay, project)

    return in_office(data, config, work)


def _store(data: Path | None, config: Path | None) -> "DatasetStore":
    from participant.data.store.store import DatasetStore  # noqa: PLC0415

    return DatasetStore(ParticipantConfig.load(data=data, config=config).datasets)


def _place(source: str | None, url_file: Path | None) -> str:
    if (source is None) == (url_file is None):
        raise ParameterError("name a file or a database address, or use --url-file with a file that holds the address")
    return source if source is not None else Path(str(url_file)).read_text(encoding="utf-8").strip()


@contextmanager
def _shown(progress: bool, *, as_json: bool) -> Iterator["Show"]:
    from participant.data.model import progress as shown  # noqa: PLC0415

    if not progress:
        yield shown.nowhere
    elif as_json or not sys.stderr.isatty():
        yield shown.as_json()
    else:
        with shown.on_terminal() as show:
            yield show


def _report(done: "Imported", *, as_json: bool) -> None:
    seconds = {step: round(taken, 3) for step, taken in done.facts.seconds.items()}
    facts: dict[str, Any] = done.description.model_dump(mode="json")
    facts |= {"seconds": seconds, "read": done.facts.read, "repeated": done.facts.repeated, "folder": str(done.folder)}
    lines = [
        _described(done.description),
        f"{done.facts.read:,} rows read, {done.facts.bad:,} bad and {done.facts.repeated:,} repeated rows dropped",
        ", ".join(f"{step} {taken:.1f} s" for step, taken in seconds.items()),
        f"report: {done.folder / 'report.html'}",
    ]
    report(facts, "\n".join(lines), as_json=as_json)


def _described(one: "Description") -> str:
    return f"{one.name} version {one.version}: {one.rows:,} rows, {len(one.columns)} columns ({one.source.name})"
