"""The site's entry in a project's catalogue, derived from its dataset's description and signed for the coordinator.

It never reads the rows: an entry holds facts from the description, with counts in bands.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from participant.data.model.description import ColumnKind, Description
from participant.data.store.store import DatasetStore
from participant.policy.rules import Offer, Policy
from participant.records.ledger import Ledger
from participant.statistics.language.definitions import CategoryLabel
from participant.study.catalogue import RUN_NAME, Band, CatalogueEntry, HeldVariable, SignedEntry, VariableKind, share
from participant.study.terms import ProjectTerms
from relay.client.parcels import Parcels
from relay.client.transport import RelayClient
from relay.party.journal import Journal
from relay.service.folders import write_new
from secagg.errors import ParameterError
from secagg.identity import Identity

_KINDS: Mapping[ColumnKind, VariableKind] = {
    ColumnKind.INTEGER: "integer",
    ColumnKind.REAL: "real",
    ColumnKind.BOOLEAN: "boolean",
    ColumnKind.CATEGORY: "category",
}


def entry_of(offer: Offer, store: DatasetStore, policy: Path | None) -> CatalogueEntry:
    """Return the entry that the project's catalogue would receive.

    Raises:
        RefusedError: the site's policy does not allow the project, or the data do not fit it.
        DatasetError: the dataset does not exist.
    """
    described = store.describe(offer.terms.dataset)
    rules = Policy() if policy is None else Policy.read(policy)
    rules.check_offer(offer)
    rules.check_dataset(offer.terms, described)
    return entry(offer.project, offer.terms, described)


def entry(project: UUID, terms: ProjectTerms, described: Description) -> CatalogueEntry:
    """Return a dataset's entry, restricted to the project's columns."""
    definitions = {one.code: one for one in terms.variables}
    held = []
    for column in sorted(described.columns, key=lambda one: one.name):
        if column.name not in terms.columns or (kind := _KINDS.get(column.kind)) is None:
            continue
        defined = definitions.get(column.name)
        held.append(
            HeldVariable(
                code=column.name,
                type=kind,
                unit=_printable(column.unit),
                categories=defined.categories if defined else _categories(column.categories or {}),
                mapped=defined is not None and column.means(defined),
                missing=share(column.missing, described.rows),
            )
        )
    return CatalogueEntry(
        project=project.hex,
        dataset=described.name,
        version=described.version,
        rows=Band.of(described.rows),
        variables=tuple(held),
    )


def export_entry(made: CatalogueEntry, identity: Identity, journal: Journal, path: Path) -> None:
    """Write a signed entry to a file, after recording in the ledger that it leaves."""
    signed = SignedEntry.sign(made, identity).encode()
    _note(made, journal)
    write_new(path, signed)


async def send_entry(made: CatalogueEntry, identity: Identity, journal: Journal, relay: RelayClient) -> None:
    """Sign an entry and send it, sealed to the coordinator of the roster that this site's officer confirmed.

    Raises:
        ParameterError: nobody here confirmed the project, or its coordinator has not asked for the catalogue yet.
    """
    project = UUID(made.project)
    confirmed = Ledger(journal.connection).confirmed(project)
    if confirmed is None:
        raise ParameterError(
            "no officer of this site has confirmed the project's roster; confirm it with: project agree"
        )
    asked = [run.id for run in await relay.runs(project) if run.name == RUN_NAME]
    if not asked:
        raise ParameterError("the project's coordinator has not asked for the catalogue yet")
    _note(made, journal)
    parcels = Parcels(relay, identity, asked[0], leads=False)
    await parcels.send_log(confirmed.roster.coordinator, RUN_NAME, SignedEntry.sign(made, identity).encode())


def _note(made: CatalogueEntry, journal: Journal) -> None:
    with journal.transaction() as batch:
        Ledger(batch.connection).enter(
            {
                "what": "catalogue",
                "at": round(time.time(), 3),
                "project": str(UUID(made.project)),
                "dataset_version": made.version,
                "entry": made.model_dump(mode="json"),
            }
        )


def _categories(labels: dict[str, int]) -> tuple[CategoryLabel, ...]:
    """Return a site's own coding; several of its labels may share one number."""
    by_number: dict[int, list[str]] = {}
    for label, number in labels.items():
        by_number.setdefault(number, []).append(label)
    return tuple(
        CategoryLabel(number=number, label=_printable(" / ".join(by_number[number]))[:200] or "?")
        for number in sorted(by_number)
    )


def _printable(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
