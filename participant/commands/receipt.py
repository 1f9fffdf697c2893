"""Commands for receipts of runs."""

from pathlib import Path
from typing import Annotated

import typer

from participant.commands.options import RunArgument, SiteOptions
from participant.records.ledger import Ledger
from participant.records.receipts import Receipts, check
from participant.settings.journal import opened
from participant.statistics.evaluation.receipts import as_facts, as_words
from relay.service.command import Commands

app = Commands(
    name="receipt",
    no_args_is_help=True,
    help="Receipts of runs: what was asked, which sites took part, and the results.",
)


@app.command("list")
def list_(common: SiteOptions) -> None:
    """List this site's receipts, and what is wrong with those that it refuses."""
    with opened(common.settings()) as journal:
        found = Receipts(journal.connection).all()
    facts = [{"run": str(one.run), "bytes": len(one.data), "fault": one.fault, "at": one.at} for one in found]
    lines = [f"{one.run}  {one.fault or 'valid'}" for one in found]
    common.report({"receipts": facts}, "\n".join(lines) or "this site has no receipts yet")


@app.command("save")
def save(
    run: RunArgument,
    file: Annotated[Path, typer.Argument(help="file to write")],
    common: SiteOptions,
) -> None:
    """Write a receipt to a file, for an auditor."""
    with opened(common.settings()) as journal:
        found = Ledger(journal.connection).find_run(run)
        kept = Receipts(journal.connection).of(found)
    file.write_bytes(kept.data)
    common.report({"run": str(found), "file": str(file), "fault": kept.fault}, f"saved: {file}")


@app.command("verify")
def verify(
    run: RunArgument,
    common: SiteOptions,
    file: Annotated[
        Path | None, typer.Argument(help="file with the receipt; default: the one on file at this site")
    ] = None,
) -> None:
    """Verify a receipt on its own and against this site's ledger; needs no relay."""
    with opened(common.settings()) as journal:
        found = Ledger(journal.connection).find_run(run)
        content = Receipts(journal.connection).of(found).data if file is None else file.read_bytes()
        shown = check(content, found, Ledger(journal.connection))
    words = f"{as_words(shown)}\nIt agrees with this site's ledger."
    common.report({"holds": True, "in_keeping_with_ledger": True, **as_facts(shown)}, words)
