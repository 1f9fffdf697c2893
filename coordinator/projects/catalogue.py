"""The catalogue of a project: which site has which variables, how they are coded, and roughly how many rows.

Sites sign their entries, and send them as parcels of a run with that name or hand them over as files. An entry counts
if a member of the project signed it; if a site has several, the newest version counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from participant.study.catalogue import (
    MAX_ENTRY_BYTES,
    RUN_NAME,
    CatalogueEntry,
    CatalogueError,
    HeldVariable,
    SignedEntry,
)
from participant.study.terms import ProjectTerms
from relay.client.parcels import Parcels
from relay.client.transport import RelayClient
from secagg.identity import Identity


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The entries of a project's sites by name, and the columns that the project asks for."""

    columns: tuple[str, ...]
    entries: Mapping[str, CatalogueEntry]


async def received(relay: RelayClient, identity: Identity, project: UUID) -> dict[str, bytes] | None:
    """Return the entries that sites sent, keyed by a label, or None if this call only requested them.

    Raises:
        RelayError: the project's roster is not sealed, or another identity coordinates the project.
    """
    asked = [run.id for run in await relay.runs(project) if run.name == RUN_NAME]
    if not asked:
        await relay.create_run(project, uuid4(), RUN_NAME)
        return None
    parcels = Parcels(relay, identity, asked[0], leads=True)
    found: dict[str, bytes] = {}
    last = 0
    while batch := await parcels.receive(last):
        last = batch[-1].id
        found |= {f"parcel {one.id}": one.text for one in batch if one.name == RUN_NAME and one.fault is None}
    return found


def read_files(paths: Iterable[Path]) -> dict[str, bytes]:
    """Return the entries in files, by file name."""
    return {path.name: path.read_bytes() if path.stat().st_size <= 2 * MAX_ENTRY_BYTES else b"" for path in paths}


def gather(project: UUID, terms: ProjectTerms, names: Mapping[bytes, str], found: Mapping[str, bytes]) -> Catalogue:
    """Read signed entries.

    Args:
        project: ID of the project.
        terms: terms of the project.
        names: names of the project's members, by key.
        found: encoded entries, keyed by a label.

    Raises:
        CatalogueError: an entry is malformed, from another project, or not signed by a member; the message says which.
    """
    entries: dict[str, CatalogueEntry] = {}
    for place, data in found.items():
        try:
            signed = SignedEntry.decode(data)
        except CatalogueError as error:
            raise CatalogueError(f"{place}: {error}") from None
        if signed.site not in names:
            raise CatalogueError(f"{place}: the site that signed this entry is not a member of the project")
        if (signed.entry.project, signed.entry.dataset) != (project.hex, terms.dataset):
            raise CatalogueError(f"{place}: this entry belongs to another project or dataset")
        name = names[signed.site]
        if name not in entries or entries[name].version < signed.entry.version:
            entries[name] = signed.entry
    return Catalogue(terms.columns, dict(sorted(entries.items())))


def as_facts(catalogue: Catalogue) -> dict[str, Any]:
    """Return the catalogue as plain values."""
    sites = [{"site": name, **entry.model_dump(mode="json")} for name, entry in catalogue.entries.items()]
    return {"columns": list(catalogue.columns), "sites": sites, "complete": complete(catalogue)}


def as_words(catalogue: Catalogue) -> str:
    """Return a table with a line for each variable and a column for each site."""
    held = {name: {one.code: one for one in entry.variables} for name, entry in catalogue.entries.items()}
    rows = [
        ["variable", *held],
        ["rows", *(str(entry.rows) for entry in catalogue.entries.values())],
        *([column, *(_cell(held[name].get(column)) for name in held)] for column in catalogue.columns),
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    everywhere = complete(catalogue)
    return "\n".join([*lines, "", f"available at all {len(held)} sites: {', '.join(everywhere) or 'nothing'}"])


def complete(catalogue: Catalogue) -> list[str]:
    """Return the columns that every site has, in the same coding."""
    found = []
    for column in catalogue.columns:
        codings = {
            (one.type, one.unit, one.categories)
            for entry in catalogue.entries.values()
            for one in entry.variables
            if one.code == column
        }
        sites = sum(one.code == column for entry in catalogue.entries.values() for one in entry.variables)
        if len(codings) == 1 and sites == len(catalogue.entries):
            found.append(column)
    return found


def _cell(held: HeldVariable | None) -> str:
    if held is None:
        return "-"
    coding = held.unit or ("/".join(str(one.number) for one in held.categories[:6]))
    words = [held.type, *([coding] if coding else []), *([] if held.mapped else ["not mapped"])]
    return f"{' '.join(words)}{'' if held.missing == 'none' else f', {held.missing} missing'}"
