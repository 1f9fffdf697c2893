"""The catalogue of a project: which site has which variables, how coded, and about how many rows.

Its entries are signed by the sites; an entry counts if its key is that of a member of the project. Of a site's entries
the one of the newest version counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from participant.statistics.catalogue import MAX_ENTRY_BYTES, CatalogueError, Entry, Held, SignedEntry
from participant.statistics.terms import ProjectTerms


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The entries of a project's sites, by name, and the columns that the project asks for."""

    columns: tuple[str, ...]
    entries: Mapping[str, Entry]


def gather(project: UUID, terms: ProjectTerms, names: Mapping[bytes, str], files: Iterable[Path]) -> Catalogue:
    """Read signed entries.

    Args:
        project: that they are of.
        terms: of it.
        names: of its members, by their keys.
        files: one entry each.

    Raises:
        CatalogueError: a file holds no entry, one of another project, or of a site that is no member; says which.
    """
    entries: dict[str, Entry] = {}
    for path in files:
        data = path.read_bytes() if path.stat().st_size <= 2 * MAX_ENTRY_BYTES else b""
        try:
            signed = SignedEntry.decode(data)
        except CatalogueError as error:
            raise CatalogueError(f"{path.name}: {error}") from None
        if signed.site not in names:
            raise CatalogueError(f"{path.name}: the site that signed it is no member of the project")
        if (signed.entry.project, signed.entry.dataset) != (project.hex, terms.dataset):
            raise CatalogueError(f"{path.name}: the entry is of another project or dataset")
        name = names[signed.site]
        if name not in entries or entries[name].version < signed.entry.version:
            entries[name] = signed.entry
    return Catalogue(terms.columns, dict(sorted(entries.items())))


def as_facts(catalogue: Catalogue) -> dict[str, Any]:
    """Return the catalogue as plain values."""
    sites = [{"site": name, **entry.model_dump(mode="json")} for name, entry in catalogue.entries.items()]
    return {"columns": list(catalogue.columns), "sites": sites, "complete": complete(catalogue)}


def as_words(catalogue: Catalogue) -> str:
    """Return a table: a line for each column, a column for each site."""
    held = {name: {one.code: one for one in entry.variables} for name, entry in catalogue.entries.items()}
    rows = [
        ["variable", *held],
        ["rows", *(str(entry.rows) for entry in catalogue.entries.values())],
        *([column, *(_cell(held[name].get(column)) for name in held)] for column in catalogue.columns),
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    everywhere = complete(catalogue)
    return "\n".join([*lines, "", f"at all {len(held)} sites: {', '.join(everywhere) or 'nothing'}"])


def complete(catalogue: Catalogue) -> list[str]:
    """Return the columns that every site has, in one coding."""
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


def _cell(held: Held | None) -> str:
    if held is None:
        return "-"
    coding = held.unit or ("/".join(str(one.number) for one in held.categories[:6]))
    words = [held.type, *([coding] if coding else []), *([] if held.mapped else ["not mapped"])]
    return f"{' '.join(words)}{'' if held.missing == 'none' else f', {held.missing} missing'}"
