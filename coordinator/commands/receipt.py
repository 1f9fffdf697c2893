"""Commands that verify, save and send receipts."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from coordinator.commands.options import CoordinatorOptions, RunArgument
from coordinator.journal.receipts import hand_out, receipt_of
from coordinator.session.session import Session, in_session
from participant.statistics.evaluation.receipts import as_facts, as_words
from relay.service.command import AsJson, Commands, report
from secagg.errors import ParameterError
from secagg.receipts import ReceiptError, read, verify_receipt

app = Commands(
    name="receipt",
    no_args_is_help=True,
    help="Receipts of runs: what was asked, which sites took part, and the result.",
)


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="file with the receipt")],
    words: Annotated[str | None, typer.Option(help="twelve words of the expected roster")] = None,
    run: Annotated[UUID | None, typer.Option(help="ID of the expected run")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a receipt offline: its hash chain, its signature, and everything the sites signed. No key is needed."""
    shown = verify_receipt(read(file.read_bytes()))
    if run is not None and shown.run != run.bytes:
        raise ReceiptError(f"the receipt belongs to run {UUID(bytes=shown.run)}, not to {run}")
    if words is not None:
        try:
            shown.roster.confirm(words)
        except ParameterError as error:
            raise ReceiptError(f"the receipt belongs to another roster: {error}") from None
    report({"holds": True, **as_facts(shown)}, as_words(shown), as_json=as_json)


@app.command("save")
def save(
    run: RunArgument, file: Annotated[Path, typer.Argument(help="file to write")], common: CoordinatorOptions
) -> None:
    """Write the signed receipt of a run to a file, in its current state."""

    async def work(session: Session) -> tuple[UUID, bytes]:
        found = session.records.find(run)
        return found, receipt_of(session.journal, found, session.identity).encode()

    run_id, content = in_session(common.settings(), work)
    file.write_bytes(content)
    common.report({"run": str(run_id), "file": str(file), "bytes": len(content)}, f"saved: {file}")


@app.command("send")
def send(run: RunArgument, common: CoordinatorOptions) -> None:
    """Resend a run's receipt; it is sent when the run ends. Repeats are ignored."""

    async def work(session: Session) -> tuple[UUID, int]:
        found = session.records.find(run)
        receipt = receipt_of(session.journal, found, session.identity)
        return found, await hand_out(receipt, found, session.identity, session.relay)

    run_id, sites = in_session(common.settings(), work)
    common.report({"run": str(run_id), "sites": sites}, f"sent to {sites} sites")
