"""`secagg-relay audit`: checking and exporting the audit log."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from relay.api.wire import to_base64url
from relay.server.commands.options import RelayOptions
from relay.server.core.checkpoint import BadCheckpointError, Checkpoint
from relay.server.core.config import RelayConfig
from relay.server.http.signatures import public_key
from relay.server.store import audit, checkpoints, milestones
from relay.server.store.offline import on_database, over_view
from relay.service.command import Commands
from secagg.audit import BrokenChainError
from secagg.errors import ParameterError

app = Commands(name="audit", no_args_is_help=True, help="The hash-chained audit log.")

_BREAKS = (BrokenChainError, audit.TruncatedLogError, BadCheckpointError)


@app.command("verify")
def verify(
    common: RelayOptions,
    head: Annotated[str | None, typer.Option(help="a head noted earlier, in hex")] = None,
    kept: Annotated[
        Path | None,
        typer.Option("--checkpoints", help="file with checkpoints or log lines kept elsewhere, one per line"),
    ] = None,
    keys: Annotated[
        list[str] | None, typer.Option("--key", help="a key that may sign checkpoints; may be repeated")
    ] = None,
    export: Annotated[Path | None, typer.Option(help="check an exported log instead of the relay's own")] = None,
) -> None:
    """Check that no entry of the audit log was edited, removed or moved, and that none is missing at the end.

    The result for the relay's own log is recorded; a broken log raises an alert until it is found intact again.
    """
    remembered = _head(head)
    signed = [] if kept is None else list(_read_checkpoints(kept))
    trusted = None if keys is None else {_key(text) for text in keys}
    if export is None:
        settings = common.settings()
        facts = _verify_own(settings, remembered, signed, trusted)
    else:
        facts = _verify_export(export, remembered, signed, trusted)
    common.report(facts | {"ok": True}, f"{facts['entries']} entries, chain intact")


def _verify_own(
    settings: RelayConfig, remembered: bytes | None, signed: list[Checkpoint], trusted: set[bytes] | None
) -> dict[str, Any]:
    def check(db: Connection) -> dict[str, Any]:
        stored = checkpoints.all_checkpoints(db)
        _require_keys([*stored, *signed], trusted)
        entries = audit.verify(db, remembered, signed)
        return {"entries": entries, "head": audit.head(db)[1].hex()} | _witnesses([*stored, *signed])

    try:
        found = over_view(settings, check)
    except _BREAKS as broken:
        reason = str(broken)[:200]
        on_database(settings, lambda db: milestones.reach(db, milestones.AUDIT_BROKEN, now=time.time(), detail=reason))
        raise

    def note(db: Connection) -> None:
        milestones.forget(db, milestones.AUDIT_BROKEN)
        milestones.reach(db, milestones.AUDIT_VERIFIED, now=time.time(), detail=f"{found['entries']} entries")

    on_database(settings, note)
    return found


def _verify_export(
    path: Path, remembered: bytes | None, signed: list[Checkpoint], trusted: set[bytes] | None
) -> dict[str, Any]:
    lines = [document for _, document in _read_lines(path)]
    inside = [Checkpoint.of_document(line["checkpoint"]) for line in lines if "checkpoint" in line]
    _require_keys([*inside, *signed], trusted)
    try:
        entries = [{**line["entry"], "head": bytes.fromhex(line["entry"]["head"])} for line in lines if "entry" in line]
        number = audit.verify_entries(entries, [*inside, *signed], remembered)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ParameterError(f"{path} is not an exported audit log") from None
    head = entries[-1]["head"].hex() if entries else ""
    return {"entries": number, "head": head} | _witnesses([*inside, *signed])


@app.command("export")
def export(common: RelayOptions) -> None:
    """Print the whole log as JSON lines, entries first and then checkpoints, for an auditor or an archive."""
    settings = common.settings()

    def work(db: Connection) -> None:
        for entry in audit.entries(db):
            _print({"entry": {**entry, "head": entry["head"].hex()}})
        for checkpoint in checkpoints.all_checkpoints(db):
            _print({"checkpoint": checkpoint.document()})

    over_view(settings, work)


@app.command("checkpoint")
def checkpoint(common: RelayOptions) -> None:
    """Print the latest signed checkpoint as JSON. Store it on another machine."""
    latest = over_view(common.settings(), checkpoints.latest)
    if latest is None:
        raise ParameterError("no checkpoint has been signed yet; a running relay signs one every minute")
    _print(latest.document())


def _require_keys(found: list[Checkpoint], trusted: set[bytes] | None) -> None:
    if trusted is None:
        return
    foreign = {checkpoint.key for checkpoint in found} - trusted
    if foreign:
        raise BadCheckpointError(
            f"a checkpoint was signed by {to_base64url(min(foreign))}, not by one of the given keys"
        )


def _witnesses(found: list[Checkpoint]) -> dict[str, Any]:
    """Return which keys vouch for the log, and up to which entry."""
    return {
        "signed_entries": max((checkpoint.entries for checkpoint in found), default=0),
        "keys": sorted({to_base64url(checkpoint.key) for checkpoint in found}),
    }


def _read_checkpoints(path: Path) -> Iterator[Checkpoint]:
    for number, document in _read_lines(path):
        if "proof" in document:
            yield Checkpoint.of_document(document)
        elif "checkpoint" in document:
            yield Checkpoint.of_document(document["checkpoint"])
        elif not {"event", "entry"} & document.keys():  # other lines of a log or an export may be mixed in
            raise ParameterError(f"{path}, line {number}: not a checkpoint")


def _read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ParameterError(f"{path}, line {number}: expected a JSON object")
        yield number, document


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n")


def _head(text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError:
        raise ParameterError("a head must have 64 hex digits") from None


def _key(text: str) -> bytes:
    try:
        return public_key(text)
    except ValueError:
        raise ParameterError("a key must have 43 base64url characters, as shown by `audit checkpoint`") from None
