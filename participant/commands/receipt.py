"""Commands for receipts of runs."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from participant.commands.options import AsJson, Config, Data
from participant.records.ledger import Ledger
from participant.settings.session import opened_journal
from relay.service.command import report

receipt_app = typer.Typer(
    no_args_is_help=True, help="Receipts of runs: what was asked, which sites took part, and the results."
)
RunId = Annotated[UUID, typer.Argument(help="ID of the run, as shown by: receipt list")]


@receipt_app.command("list")
def receipt_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List this site's receipts, and the faults of those that it refuses."""
    from participant.records.receipts import Receipts  # noqa: PLC0415  # needs the protocol

    with opened_journal(data, config) as journal:
        found = Receipts(journal.connection).all()
    facts = [{"run": str(one.run), "bytes": len(one.data), "fault": one.fault, "at": one.at} for one in found]
    lines = [f"{one.run}  {one.fault or 'valid'}" for one in found]
    report({"receipts": facts}, "\n".join(lines) or "this site has no receipts yet", as_json=as_json)


@receipt_app.command("save")
def receipt_save(
    run: RunId,
    file: Annotated[Path, typer.Argument(help="file to write")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write a receipt to a file, for an auditor."""
    from participant.records.receipts import Receipts  # noqa: PLC0415

    with opened_journal(data, config) as journal:
        kept = Receipts(journal.connection).of(run)
    file.write_bytes(kept.data)
    report({"run": str(run), "file": str(file), "fault": kept.fault}, f"saved: {file}", as_json=as_json)


@receipt_app.command("verify")
def receipt_verify(
    run: RunId,
    file: Annotated[
        Path | None, typer.Argument(help="file with the receipt; default: the one on file at this site")
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Verify a receipt by itself and against this site's ledger; needs no relay."""
    from participant.records.receipts import Receipts, check  # noqa: PLC0415
    from participant.statistics.evaluation.receipts import as_facts, as_words  # noqa: PLC0415

    with opened_journal(data, config) as journal:
        content = Receipts(journal.connection).of(run).data if file is None else file.read_bytes()
        shown = check(content, run, Ledger(journal.connection))
    words = f"{as_words(shown)}\nIt agrees with this site's ledger."
    report({"holds": True, "in_keeping_with_ledger": True, **as_facts(shown)}, words, as_json=as_json)
