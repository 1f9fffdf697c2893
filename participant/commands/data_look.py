"""`secagg-participant data list`, `show` and `verify`: what is there."""

from typing import Annotated

import typer

from participant.commands.options import DatasetName, SiteOptions
from participant.data.store.store import DatasetStore
from relay.service.command import Commands

app = Commands()

Version = Annotated[int | None, typer.Option(help="version; default: the newest")]


@app.command("list")
def list_(common: SiteOptions) -> None:
    """List the newest version of each dataset."""
    found = DatasetStore(common.settings().datasets).list()
    words = "\n".join(one.in_words() for one in found) or "there are no datasets; import one with: data import"
    common.report({"datasets": [one.model_dump(mode="json") for one in found]}, words)


@app.command("show")
def show(name: DatasetName, common: SiteOptions, version: Version = None) -> None:
    """Show a dataset's columns, versions, and the path of its report."""
    store = DatasetStore(common.settings().datasets)
    described = store.describe(name, version)
    folder = store.folder(name, described.version)
    quality = store.quality(name, described.version)
    lines = [
        described.in_words(),
        f"versions: {', '.join(str(one) for one in store.versions(name))}; bad rows dropped: {described.bad_rows:,}",
        *(
            f"  {one.name:<24} {one.kind:<9} {one.unit:<8} {one.missing:>12,} missing  {one.label}"
            for one in described.columns
        ),
        *([f"quality: {', '.join(f'{one} {share:.2%}' for one, share in quality.shares.items())}"] if quality else []),
        f"report: {folder / 'report.html'}",
    ]
    facts = described.model_dump(mode="json") | {"versions": store.versions(name), "folder": str(folder)}
    facts["quality"] = quality.shares | quality.model_dump() if quality else None
    common.report(facts, "\n".join(lines))


@app.command("verify")
def verify(name: DatasetName, common: SiteOptions, version: Version = None) -> None:
    """Check that a dataset is as it was imported: hash, rows, types, missing values."""
    described = DatasetStore(common.settings().datasets).verify(name, version)
    facts = {"name": name, "version": described.version, "verified": True, "sha256": described.data.sha256}
    common.report(facts, f"{name} version {described.version} is as it was imported")
