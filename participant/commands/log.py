"""Commands for the logs of runs: show one, or send it sealed to the coordinator."""

import time
from typing import Annotated
from uuid import UUID

import typer

from participant.commands.options import SiteOptions
from participant.records import run_logs
from participant.records.ledger import Ledger
from participant.settings.config import ParticipantConfig
from participant.settings.session import SiteSession, in_session
from relay.client.parcels import MAX_LOG_BYTES, Parcels
from relay.service.command import Commands
from secagg.errors import ParameterError

app = Commands(
    name="log", no_args_is_help=True, help="The daemon's log of a run: show it, or send it to the coordinator."
)

RunId = Annotated[UUID, typer.Argument(help="ID of the run, as shown by: ledger")]


@app.command("show")
def show(run: RunId, common: SiteOptions) -> None:
    """Show what this site's daemon logged about a run, exactly as `log send` would send it."""
    text = _lines(common.settings(), run).decode()
    common.report({"run": str(run), "lines": text.splitlines()}, text.rstrip("\n"))


@app.command("send")
def send(run: RunId, common: SiteOptions) -> None:
    """Send this site's log of a run, sealed for the coordinator of the roster that your officer confirmed.

    Neither the relay nor other sites can read it. The ledger records that it left.
    """
    text = _lines(common.settings(), run)

    async def work(session: SiteSession) -> None:
        ledger = Ledger(session.journal.connection)
        project = ledger.project_of(run)
        confirmed = ledger.confirmed(project) if project else None
        if project is None or confirmed is None:
            raise ParameterError(f"no officer of this site has confirmed the project of run {run}")
        facts = {"what": "log", "at": round(time.time(), 3), "project": str(project), "run": str(run), "round": 0}
        with session.journal.transaction() as batch:
            Ledger(batch.connection).enter(facts | {"bytes": len(text)})
        parcels = Parcels(session.relay, session.identity, run, leads=False)
        await parcels.send_log(confirmed.roster.coordinator, "daemon.jsonl", text)

    in_session(common.settings(), work)
    common.report({"run": str(run), "bytes": len(text)}, f"sent: {len(text)} bytes, sealed for the coordinator")


def _lines(settings: ParticipantConfig, run: UUID) -> bytes:
    """Return the log of a run, only its end if it exceeds a parcel; raises ParameterError."""
    text = run_logs.of_run(settings.data, run)
    if not text:
        raise ParameterError(f"this site has no log of run {run}; it keeps logs for {run_logs.KEPT_DAYS} days")
    return text[-MAX_LOG_BYTES:]
