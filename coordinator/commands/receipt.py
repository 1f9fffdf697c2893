"""Commands that verify, save and send receipts."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from coordinator.commands.options import AsJson, Config, Data, RunId
from coordinator.session.session import Session, in_office
from relay.service.command import report
from secagg.errors import ParameterError

receipt_app = typer.Typer(
    no_args_is_help=True, help="Receipts of runs: what was asked, which sites took part, and the result."
)


@receipt_app.command("verify")
def receipt_verify(
    file: Annotated[Path, typer.Argument(help="file with the receipt")],
    words: Annotated[str | None, typer.Option(help="twelve words of the expected roster")] = None,
    run: Annotated[UUID | None, typer.Option(help="ID of the expected run")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a receipt offline: its hash chain, its signature, and everything the sites signed. No key is needed."""
    from participant.statistics.evaluation.receipts import as_facts, as_words  # noqa: PLC0415  # needs the statistics
    from secagg.receipts import ReceiptError, read, verify_receipt  # noqa: PLC0415

    shown = verify_receipt(read(file.read_bytes()))
    if run is not None and shown.run != run.bytes:
        raise ReceiptError(f"the receipt belongs to run {UUID(bytes=shown.run)}, not to {run}")
    if words is not None:
        try:
            shown.roster.confirm(words)
        except ParameterError as error:
            raise ReceiptError(f"the receipt belongs to another roster: {error}") from None
    report({"holds": True, **as_facts(shown)}, as_words(shown), as_json=as_json)


@receipt_app.command("save")
def receipt_save(
    run: RunId,
    file: Annotated[Path, typer.Argument(help="file to write")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write the signed receipt of a run to a file, in its current state."""
    from coordinator.journal.receipts import receipt_of  # noqa: PLC0415

    async def work(office: Session) -> bytes:
        return receipt_of(office.journal, run, office.identity).encode()

    content = in_office(data, config, work)
    file.write_bytes(content)
    report({"run": str(run), "file": str(file), "bytes": len(content)}, f"saved: {file}", as_json=as_json)


@receipt_app.command("send")
def receipt_send(run: RunId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Send the receipt of a run to its sites again, as happens when a run ends; repeats are ignored."""
    from coordinator.journal.receipts import hand_out, receipt_of  # noqa: PLC0415

    async def work(office: Session) -> Any:
        receipt = receipt_of(office.journal, run, office.identity)
        return await hand_out(receipt, run, office.identity, office.relay)

    sites = in_office(data, config, work)
    report({"run": str(run), "sites": sites}, f"sent to {sites} sites", as_json=as_json)
