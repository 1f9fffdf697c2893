"""`secagg-participant audit`: is the ledger as the daemon wrote it?"""

from typing import Annotated

import typer

from participant.commands.options import SiteOptions
from participant.records.ledger import Ledger
from participant.settings.journal import opened
from relay.service.command import Commands
from secagg.audit import BrokenChainError
from secagg.errors import ParameterError

app = Commands(name="audit", no_args_is_help=True, help="Check that the ledger is as the daemon wrote it.")


@app.command("verify")
def verify(
    common: SiteOptions,
    head: Annotated[
        str | None, typer.Option(help="a head noted earlier; the ledger must still contain its entry")
    ] = None,
) -> None:
    """Check the ledger's hash chain offline and report where it breaks. Keep a note of the printed head elsewhere.

    Without a noted head, a truncated or rewritten ledger looks like an intact one.
    """
    with opened(common.settings()) as journal:
        book = Ledger(journal.connection)
        last = book.head
        try:
            chain = book.chain()
        except BrokenChainError as error:
            entry = error.position + 1
            words = f"the chain breaks at entry {entry}: it or an earlier entry was changed, removed or moved"
            common.report({"unbroken": False, "breaks_at": entry}, words)
            raise typer.Exit(1) from None
    known = {bytes(after).hex(): number for number, (_, after) in enumerate(chain, 1)}
    if head is not None and (head := head.strip().lower()) not in known:
        raise ParameterError(
            f"the ledger's {len(chain)} entries form a chain, but it lacks the noted head: entries were cut off, or "
            "the ledger was rewritten"
        )
    noted = None if head is None else known[head]
    words = f"{len(chain)} entries; none was changed, removed or moved\nhead {last}"
    if noted is not None:
        words += f"\nthe noted head belongs to entry {noted}"
    common.report({"entries": len(chain), "unbroken": True, "head": last, "noted": noted}, words)
