"""Receipts of runs, kept by each site: the coordinator's account, checked against what this site saw and signed."""

import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from participant.records.ledger import Ledger
from participant.statistics.language.query import canonical
from relay.api.wire import from_base64url
from relay.client.parcels import Parcel, ParcelError, Parcels
from relay.client.transport import RelayClient, RelayError
from relay.party.journal import Journal
from relay.service.logs import logger
from secagg.errors import ParameterError
from secagg.identity import Identity
from secagg.receipts import PARCEL, ReceiptError, ReceiptFindings, read, verify_receipt

log = logger(__name__)

MAX_RECEIPT_BYTES = 256 << 20
_FORGOTTEN = {"not-found", "forbidden"}  # the relay purged the run, or this site is no longer a member


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A receipt on file at this site.

    Attributes:
        fault: why the site refuses it; "" if it is valid.
        at: time of arrival, seconds since 1970.
    """

    run: UUID
    data: bytes
    fault: str
    at: float


class Receipts:
    """The receipts in the participant's journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def keep(self, run: UUID, data: bytes, fault: str) -> None:
        """Keep a receipt. A valid one is never replaced."""
        self._connection.execute(
            "INSERT INTO receipt VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT (run) DO UPDATE SET data = ?2, fault = ?3, at = ?4 WHERE fault != ''",
            (str(run), data, fault, time.time()),
        )

    def awaited(self) -> dict[UUID, UUID]:
        """Return the runs in which this site took part but has no receipt yet, with their projects."""
        rows = self._connection.execute("SELECT run, project FROM epoch WHERE run NOT IN (SELECT run FROM receipt)")
        return {UUID(run): UUID(project) for run, project in rows}

    def all(self) -> list[KeptReceipt]:
        """Return all receipts, newest first."""
        rows = self._connection.execute("SELECT run, data, fault, at FROM receipt ORDER BY at DESC")
        return [KeptReceipt(UUID(run), data, fault, at) for run, data, fault, at in rows]

    def of(self, run: UUID) -> KeptReceipt:
        """Return a run's receipt; raises ParameterError if there is none."""
        for kept in self.all():
            if kept.run == run:
                return kept
        raise ParameterError(f"this site has no receipt for run {run}")


def check(data: bytes, run: UUID, ledger: Ledger) -> ReceiptFindings:
    """Verify a receipt and check it against this site's ledger.

    Args:
        data: the receipt.
        run: run that the receipt should be for.
        ledger: this site's ledger.

    Raises:
        ReceiptError: the receipt is invalid, is for another run or roster, or contradicts what this site signed.
        BrokenChainError: a ledger entry was altered.
    """
    shown = verify_receipt(read(data))
    if shown.run != run.bytes:
        raise ReceiptError(f"it is for run {UUID(bytes=shown.run)}, not for {run}")
    project = UUID(bytes=shown.roster.project)
    if ledger.confirmed(project) is None:
        raise ReceiptError("this site has not confirmed its project")
    if ledger.version_of(project, shown.roster.digest()) is None:
        raise ReceiptError("its roster is not the one that this site's officer confirmed")
    rounds = {one.round: one for one in shown.rounds}
    for entry in ledger.entries():
        if entry.get("run") != str(run) or entry["what"] not in {"upload", "survivors"}:
            continue
        seen = rounds.get(entry["round"])
        if seen is None:
            raise ReceiptError(f"it lacks round {entry['round']}, to which this site contributed")
        if entry["what"] == "upload" and canonical(entry["query"]) != seen.query:
            raise ReceiptError(f"its query in round {seen.round} is not the one that this site answered")
        if entry["what"] == "survivors" and seen.uploads and _sites(entry) != set(seen.uploads):
            raise ReceiptError(f"its sum in round {seen.round} is not over the sites that this site signed")
    for round_, root in ledger.roots(run).items():
        if round_ not in rounds or rounds[round_].root is None:
            raise ReceiptError(f"it claims that round {round_} has no sum, but this site holds that sum")
        if root and rounds[round_].root != root:
            raise ReceiptError(f"its sum in round {round_} is not the one that this site holds")
    return shown


def _sites(entry: Mapping[str, Any]) -> set[bytes]:
    return {from_base64url(key) for key in entry["sites"]}


async def fetch(relay: RelayClient, identity: Identity, journal: Journal) -> None:
    """Fetch the receipts that have not arrived yet and keep them, each with any fault found."""
    ledger, receipts = Ledger(journal.connection), Receipts(journal.connection)
    for run, project in receipts.awaited().items():
        confirmed = ledger.confirmed(project)
        if confirmed is None:
            continue
        parcels = Parcels(relay, identity, run, leads=False)
        try:
            async for parcel in _all(parcels):
                if (parcel.name, parcel.author, parcel.fault) == (PARCEL, confirmed.roster.coordinator, None):
                    _take(run, await _content(parcels, parcel), ledger, receipts)
        except (RelayError, ParcelError) as error:
            log.warning("receipt-not-fetched", run=str(run), detail=str(error))
            if isinstance(error, ParcelError) or error.type in _FORGOTTEN:
                receipts.keep(run, b"", f"it could not be fetched: {error}")


async def _all(parcels: Parcels) -> AsyncIterator[Parcel]:
    last = 0
    while batch := await parcels.receive(last):
        last = batch[-1].id
        for parcel in batch:
            yield parcel


def _take(run: UUID, data: bytes, ledger: Ledger, receipts: Receipts) -> None:
    fault = ""
    try:
        check(data, run, ledger)
    except ReceiptError as error:
        fault = str(error)
        log.error("receipt-refused", run=str(run), detail=fault)
    else:
        log.info("receipt-kept", run=str(run), bytes=len(data))
    receipts.keep(run, data, fault)


async def _content(parcels: Parcels, parcel: Parcel) -> bytes:
    if not parcel.payload:
        return parcel.text
    if parcel.size > MAX_RECEIPT_BYTES:
        raise ParcelError(f"a receipt may have at most {MAX_RECEIPT_BYTES} bytes; this one has {parcel.size}")
    with TemporaryDirectory(prefix="secagg-receipt-") as folder:
        path = Path(folder) / "receipt"
        await parcels.fetch(parcel, path)
        return path.read_bytes()
