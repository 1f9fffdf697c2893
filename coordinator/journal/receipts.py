"""Writes the receipt of a run: one entry for every step of the coordinator's machine, in the step's own transaction.

An entry is determined by the state before the step and by the step's effects; see `secagg.receipts`.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from relay.client.parcels import MAX_LOG_BYTES, Parcels
from relay.client.transport import RelayClient, RelayError, RelayUnavailableError
from relay.party.journal import Journal
from relay.service.logs import logger
from secagg import merkle, receipts
from secagg.audit import GENESIS
from secagg.codec import Record
from secagg.envelope import Frame
from secagg.errors import ParameterError
from secagg.identity import Identity, Roster
from secagg.keys import unseal
from secagg.messages import (
    Cohort,
    EncapsulationList,
    Manifest,
    Open,
    PrekeyList,
    ProtocolMessage,
    ShareList,
    last_kinds,
)
from secagg.protocol import coordinator_round as cr
from secagg.protocol import coordinator_setup as cs
from secagg.protocol import derivations as d
from secagg.protocol.step import Send, Step
from secagg.receipts import Entry, RunReceipt

_log = logger(__name__)
_LISTS: dict[type[Record], type[ProtocolMessage]] = {
    cs.AwaitJoins: Cohort,
    cs.AwaitPrekeys: PrekeyList,
    cs.AwaitEncapsulations: EncapsulationList,
    cs.AwaitShares: ShareList,
}
_WITHIN_ROUND = (receipts.Contributed, receipts.Confirmed)


class ReceiptLog:
    """The entries of a run's receipt in the journal. Callers provide the journal's transaction."""

    def __init__(self, connection: sqlite3.Connection, run: UUID) -> None:
        self._connection = connection
        self._run = run

    def begin(self, roster: Roster, terms: bytes) -> None:
        """Write the first entry unless it already exists."""
        if not self.entries():
            self._append(receipts.Begun(run=self._run.bytes, roster=roster, terms=terms))

    def note(self, before: Record | None, step: Step) -> None:
        """Write the entries of a step."""
        for content in contents_of(before, step):
            self._append(content)

    def end(self, outcome: str) -> None:
        """Write how the run ended, unless the last entry says so already; an open round counts as abandoned."""
        content = receipts.Ended(outcome="".join(c if c.isascii() and c.isprintable() else "?" for c in outcome)[:200])
        entries = self.entries()
        if (round_ := _open_round(entries)) is not None:
            self._append(receipts.Abandoned(round=round_))
        if not entries or entries[-1].body != content.encode():
            self._append(content)

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries, in order."""
        rows = self._connection.execute(
            "SELECT kind, body, head FROM receipt WHERE run = ? ORDER BY number", (str(self._run),)
        )
        return tuple(Entry(kind=kind, body=body, head=head) for kind, body, head in rows)

    def signed(self, identity: Identity) -> RunReceipt | None:
        """Return the signed receipt in its current state, or None if it has no entries yet."""
        entries = self.entries()
        return receipts.signed(entries, identity) if entries else None

    def _append(self, content: Record) -> None:
        row = self._connection.execute(
            "SELECT number, head FROM receipt WHERE run = ? ORDER BY number DESC LIMIT 1", (str(self._run),)
        ).fetchone()
        number, head = row or (0, GENESIS)
        entry = receipts.chained(content, head)
        self._connection.execute(
            "INSERT INTO receipt VALUES (?, ?, ?, ?, ?)",
            (str(self._run), number + 1, entry.kind, entry.body, entry.head),
        )


def _open_round(entries: Sequence[Entry]) -> int | None:
    """Return the number of the round that was opened but neither has a sum nor was abandoned."""
    for entry in reversed(entries):
        kind = receipts.KINDS[entry.kind - 1]
        if kind is receipts.Asked:
            return receipts.Asked.decode(entry.body).round
        if kind not in _WITHIN_ROUND:
            return None
    return None


def receipt_of(journal: Journal, run: UUID, identity: Identity) -> RunReceipt:
    """Return a run's receipt in its current state; raises ParameterError if the journal has none."""
    receipt = ReceiptLog(journal.connection, run).signed(identity)
    if receipt is None:
        raise ParameterError(
            f"this coordinator's journal has no receipt of run {run}; list the runs with: secagg-coordinator runs"
        )
    return receipt


async def conclude(
    log: ReceiptLog, outcome: str, run: UUID, identity: Identity, relay: RelayClient, *, within_s: float
) -> None:
    """Close a run's receipt and send it to the sites within the time given; `receipt send` can repeat that later."""
    log.end(outcome)
    try:
        sending = hand_out(receipts.signed(log.entries(), identity), run, identity, relay)
        await asyncio.wait_for(sending, within_s)
    except (RelayError, RelayUnavailableError, TimeoutError) as error:
        _log.warning("receipt-not-sent", run=str(run), detail=str(error), remedy="secagg-coordinator receipt send")


async def hand_out(receipt: RunReceipt, run: UUID, identity: Identity, relay: RelayClient) -> int:
    """Send the receipt, sealed for each recipient, to all sites the run was announced to; return their number."""
    manifests = [entry for entry in receipt.entries if receipts.KINDS[entry.kind - 1] is receipts.Announced]
    if not manifests:
        return 0
    frame = receipts.Announced.decode(manifests[0].body).manifest  # later manifests name no other sites
    sites, data = Manifest.decode(frame.body).sites, receipt.encode()
    parcels = Parcels(relay, identity, run, leads=True)
    with TemporaryDirectory(prefix="secagg-receipt-") as folder:
        path = Path(folder) / "receipt"
        path.write_bytes(data)
        for site in sites:
            if len(data) <= MAX_LOG_BYTES:
                await parcels.send_log(site, receipts.PARCEL, data)
            else:
                await parcels.send_file(site, receipts.PARCEL, path)
    return len(sites)


def contents_of(before: Record | None, step: Step) -> Iterator[Record]:
    """Return the entries of a step; a step that only accepts a frame has none."""
    after = step.state
    sent = [effect for effect in step.effects if isinstance(effect, Send)]
    if isinstance(after, cs.AwaitJoins) and sent and sent[0].frame.kind == Manifest.KIND:
        yield receipts.Announced(manifest=sent[0].frame)
    elif isinstance(before, cs.CoordinatorSetup) and type(after) is not type(before):
        yield _closed(before, after)
    elif isinstance(before, cr.Prepared) and isinstance(after, cr.AwaitUploads):
        yield receipts.Asked(round=after.current.round, opening=_opening(before, sent[0].frame))
    elif isinstance(before, cr.CoordinatorInRound) and type(after) is not type(before):
        yield from _went_on(before, after, sent)


def _closed(setup: cs.CoordinatorSetup, after: Record) -> Record:
    """Return the entry of a setup step, in which frames became a list."""
    if isinstance(after, cr.Prepared):
        return receipts.EpochPrepared(receipts=tuple(setup.frames[site] for site in after.survivors))
    nonces = d.nonces_hash(setup.epoch, after.nonce_commitments.values()) if isinstance(after, cs.AwaitPrekeys) else b""
    return receipts.Agreed(
        kind=_LISTS[type(setup)].KIND,
        senders=tuple(setup.frames),
        leaves=tuple(merkle.leaf_hash(frame.encode()) for frame in setup.frames.values()),
        bound=nonces,
    )


def _went_on(before: cr.CoordinatorInRound, after: Record, sent: list[Send]) -> Iterator[Record]:
    """Return the entries of a step in a round."""
    if isinstance(before, cr.AwaitUploads) and isinstance(after, cr.CoordinatorInRound):
        yield receipts.Contributed(uploads=_ordered(before.uploads))
    elif isinstance(before, cr.AwaitSignatures) and isinstance(after, cr.CoordinatorInRound):
        yield receipts.Confirmed(signatures=_ordered(before.signatures))
    elif isinstance(before, (cr.AwaitTotal, cr.AwaitSealedShares)) and sent:
        yield _released(before, sent[0].frame)
    elif isinstance(after, cr.Prepared) and not isinstance(before, cr.AwaitOpened):
        yield receipts.Abandoned(round=before.current.round)


def _ordered(frames: Mapping[int, Frame]) -> tuple[Frame, ...]:
    return tuple(frame for _, frame in sorted(frames.items()))


def _opening(idle: cr.Prepared, frame: Frame) -> Open:
    """Return the content of a round's first message, opened with a key from the state before that message."""
    key = d.channel_key(idle.channel_chains[frame.recipient], frame.round, Open.KIND, idle.epoch)
    return Open.decode(unseal(key, frame.body, frame.header()))


def _released(state: cr.AwaitTotal | cr.AwaitSealedShares, frame: Frame) -> Record:
    """Return the entry for a sum, or for its ciphertexts, as sent to the sites."""
    _, kind = last_kinds(state.idle.manifest)
    message = kind.decode(unseal(state.current.keys[frame.recipient].result, frame.body, frame.header()))
    return receipts.Released(statement=message.statement, root=message.root)
