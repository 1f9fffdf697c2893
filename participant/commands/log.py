"""Commands for the logs of runs: show one, or send it sealed to the coordinator."""

import time
from uuid import UUID

from participant.commands.options import RunArgument, SiteOptions
from participant.records import run_logs
from participant.records.ledger import Ledger
from participant.settings.config import ParticipantConfig
from participant.settings.journal import opened
from participant.settings.session import SiteSession, in_session
from relay.client.parcels import MAX_LOG_BYTES, Parcels
from relay.service.command import Commands
from secagg.errors import ParameterError

app = Commands(
    name="log", no_args_is_help=True, help="The daemon's log of a run: show it, or send it to the coordinator."
)


@app.command("show")
def show(run: RunArgument, common: SiteOptions) -> None:
    """Show what this site's daemon logged about a run, exactly as `log send` would send it."""
    settings = common.settings()
    with opened(settings) as journal:
        found = Ledger(journal.connection).find_run(run)
    text = _lines(settings, found).decode()
    common.report({"run": str(found), "lines": text.splitlines()}, text.rstrip("\n"))


@app.command("send")
def send(run: RunArgument, common: SiteOptions) -> None:
    """Send this site's log of a run, sealed for the coordinator of the roster that your officer confirmed.

    Neither the relay nor other sites can read it. The ledger records that it left.
    """
    settings = common.settings()

    async def work(session: SiteSession) -> tuple[UUID, bytes]:
        ledger = Ledger(session.journal.connection)
        found = ledger.find_run(run)
        text = _lines(settings, found)
        project = ledger.project_of(found)
        confirmed = ledger.confirmed(project) if project else None
        if project is None or confirmed is None:
            raise ParameterError(f"no officer of this site has confirmed the project of run {found}")
        facts = {"what": "log", "at": round(time.time(), 3), "project": str(project), "run": str(found), "round": 0}
        with session.journal.transaction() as batch:
            Ledger(batch.connection).enter(facts | {"bytes": len(text)})
        parcels = Parcels(session.relay, session.identity, found, leads=False)
        await parcels.send_log(confirmed.roster.coordinator, "daemon.jsonl", text)
        return found, text

    run_id, sent = in_session(settings, work)
    common.report({"run": str(run_id), "bytes": len(sent)}, f"sent: {len(sent)} bytes, sealed for the coordinator")


def _lines(settings: ParticipantConfig, run: UUID) -> bytes:
    """Return the log of a run, only its end if it exceeds a parcel; raises ParameterError."""
    text = run_logs.of_run(settings.data, run)
    if not text:
        raise ParameterError(f"this site has no log of run {run}; it keeps logs for {run_logs.KEPT_DAYS} days")
    return text[-MAX_LOG_BYTES:]
