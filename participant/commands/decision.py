"""The officer's decisions: pause, resume, approve, deny. They work while the daemon runs."""

from typing import Annotated
from uuid import UUID

import typer

from participant.commands.options import RunId, SiteOptions
from participant.records.decisions import decide, set_pause
from participant.settings.journal import opened
from relay.service.command import Commands

app = Commands()

Whole = Annotated[
    bool,
    typer.Option("--whole", help="decide on everything that the run asks, including questions still to come"),
]


@app.command("pause")
def pause(common: SiteOptions) -> None:
    """Stop all activity of this site immediately: it reads, computes, signs and sends nothing until `resume`."""
    with opened(common.settings()) as journal:
        set_pause(journal, paused=True)
    common.report({"paused": True}, "paused; open rounds may go on without this site")


@app.command("resume")
def resume(common: SiteOptions) -> None:
    """End the pause, so that the site works again."""
    with opened(common.settings()) as journal:
        set_pause(journal, paused=False)
    common.report({"paused": False}, "this site works again")


@app.command("approve")
def approve(run: RunId, common: SiteOptions, whole: Whole = False) -> None:
    """Approve what waits in a run: a question and its later rounds, or a set of sites. Run `explain` first."""
    _decide(run, common, approved=True, whole=whole)


@app.command("deny")
def deny(run: RunId, common: SiteOptions, whole: Whole = False) -> None:
    """Deny what waits in a run: the site declines the question, or does not sign the set of sites."""
    _decide(run, common, approved=False, whole=whole)


def _decide(run: UUID, common: SiteOptions, *, approved: bool, whole: bool) -> None:
    with opened(common.settings()) as journal:
        about = decide(journal, run, approved=approved, whole=whole)
    said = "approved" if approved else "denied"
    if about is None:
        subject = "all queries of the run"
    elif about.query is not None:
        subject = f"{about.query.statistic} over {about.query.dataset}, in this round and later ones of the run"
    else:
        subject = f"the sum over {len(about.sites)} sites"
    common.report({"run": str(run), "approved": approved, "subject": subject}, f"{said}: {subject}")
