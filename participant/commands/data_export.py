"""`secagg-participant data export`: a dataset as a file or a MongoDB collection, for people of this house."""

from pathlib import Path
from typing import Annotated

import typer

from participant.commands.options import DatasetName, ShowProgress, SiteOptions
from participant.data.model.progress import shown
from participant.data.store.store import DatasetStore
from relay.service.command import Commands
from relay.service.folders import write_whole
from secagg.errors import ParameterError

app = Commands()


@app.command("export")
def export(
    name: DatasetName,
    common: SiteOptions,
    csv: Annotated[Path | None, typer.Option(help="file to write, or a folder for cleaned_NAME_VERSION.csv")] = None,
    mongo: Annotated[str | None, typer.Option(help="address of a MongoDB server: mongodb://...")] = None,
    url_file: Annotated[
        Path | None, typer.Option(help="file with that address, to keep its password off the screen")
    ] = None,
    collection: Annotated[str | None, typer.Option(help="MongoDB: database.collection, which must not exist")] = None,
    paths: Annotated[Path | None, typer.Option(help="MongoDB: TOML file with the path of each column's field")] = None,
    replace: Annotated[
        str | None, typer.Option(help="MongoDB: database.collection again, if it exists and is to be replaced")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="MongoDB: file for a copy of the report")] = None,
    version: Annotated[int | None, typer.Option(help="a version; default: the newest")] = None,
    progress: ShowProgress = True,
) -> None:
    """Write a dataset as a CSV file or a MongoDB collection, and check it against what is stored."""
    if sum(one is not None for one in (csv, mongo, url_file)) != 1:
        raise ParameterError("say where to: --csv FILE, --mongo URL, or --url-file with a file that holds the address")
    store = DatasetStore(common.settings().datasets)
    if csv is not None:
        _to_csv(store, name, csv, version, common)
        return
    from participant.data.sources.mongo import connected  # noqa: PLC0415 - a CSV file needs none of it
    from participant.data.store.documents import Paths  # noqa: PLC0415
    from participant.data.store.export_mongo import export_mongo  # noqa: PLC0415

    url = mongo or Path(str(url_file)).read_text(encoding="utf-8").strip()
    with shown(wanted=progress, as_json=common.as_json) as show:
        done = export_mongo(
            store,
            name,
            connected(url, collection or "", "--collection"),
            paths=Paths() if paths is None else Paths.read(paths),
            version=version,
            replace=replace,
            show=show,
        )
    if report is not None:
        write_whole(report, f"{done.in_words()}\n".encode())
    common.report(done._asdict() | {"name": name}, done.in_words())


def _to_csv(store: DatasetStore, name: str, place: Path, version: int | None, common: SiteOptions) -> None:
    from participant.data.store.export import export_csv  # noqa: PLC0415 - MongoDB needs none of it

    done = export_csv(store, name, place, version)
    facts = done._asdict() | {"path": str(done.path), "name": name}
    common.report(facts, f"{name} version {done.version}: {done.rows:,} rows written to {done.path} and verified")
