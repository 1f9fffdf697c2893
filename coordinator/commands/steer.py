"""`secagg-coordinator pause` and `cancel`: requests to the process that executes a run."""

from coordinator.commands.options import CoordinatorOptions, RunArgument
from coordinator.journal.records import RequestedAction, RunRecord
from coordinator.runs.lifecycle import stop
from coordinator.session.session import Session, in_session
from relay.service.command import Commands

app = Commands()


@app.command("pause")
def pause(run: RunArgument, common: CoordinatorOptions) -> None:
    """Pause a run once its open round is finished. Its deadline does not change."""
    _request(run, "pause", common)


@app.command("cancel")
def cancel(run: RunArgument, common: CoordinatorOptions) -> None:
    """End a run immediately; it cannot be resumed."""
    _request(run, "cancel", common)


def _request(run: str, action: RequestedAction, common: CoordinatorOptions) -> None:
    async def work(session: Session) -> RunRecord:
        found = session.records.find(run)
        await stop(session, found, action)
        return session.records.get(found)

    found = in_session(common.settings(), work)
    stopped = found.is_over or found.state.value == "paused"
    words = found.state.value if stopped else f"the process that executes the run will {action} it"
    common.report(found.facts(), words)
