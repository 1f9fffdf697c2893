"""The officer's decisions: pause, resume, approve, deny. They work while the daemon runs."""

import time
from typing import Annotated

import typer

from participant.commands.options import SiteOptions
from participant.records import standing
from participant.records.decisions import decide, set_pause
from participant.records.ledger import Ledger
from participant.settings.journal import opened
from relay.party.journal import Journal
from relay.service.command import Commands
from secagg.errors import ParameterError

app = Commands()

SomeRun = Annotated[
    str | None, typer.Argument(metavar="RUN", help="ID of the run, or its beginning, as shown by: runs")
]
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
def approve(
    common: SiteOptions,
    run: SomeRun = None,
    whole: Whole = False,
    is_standing: Annotated[
        bool,
        typer.Option(
            "--standing",
            help="with --dataset, approve in advance that sums of a dataset lack one site; alone, list such approvals",
        ),
    ] = False,
    dataset: Annotated[str | None, typer.Option(help="dataset of a standing approval")] = None,
    site: Annotated[
        str | None,
        typer.Option(help="key of the one site that may be missing, or its first digits; by default, any one site"),
    ] = None,
    times: Annotated[int, typer.Option(min=1, help="number of runs in a period that may use a standing approval")] = 1,
    days: Annotated[int, typer.Option(min=1, max=3660, help="length of the period, in days")] = 30,
) -> None:
    """Approve what waits in a run: a question and its later rounds, or a set of sites. Run `explain` first."""
    if not is_standing:
        _decide(_required(run), common, approved=True, whole=whole)
        return
    with opened(common.settings()) as journal:
        if dataset is not None:
            made = standing.grant(journal, dataset, _key(journal, site), times, days)
            common.report(made.facts(0), f"granted standing approval {made.number}: {standing.in_words(made)}")
            return
        approvals, now = standing.StandingApprovals(journal.connection), time.time()
        found = [(one, len(approvals.used(one, now))) for one in approvals.all()]
    lines = [f"{one.number}  {standing.in_words(one)} Used in {used} of {one.times} runs." for one, used in found]
    facts = {"standing": [one.facts(used) for one, used in found]}
    common.report(facts, "\n".join(lines) or "there are no standing approvals")


@app.command("deny")
def deny(
    common: SiteOptions,
    run: SomeRun = None,
    whole: Whole = False,
    number: Annotated[
        int | None, typer.Option("--standing", min=1, help="revoke the standing approval with this number")
    ] = None,
) -> None:
    """Deny what waits in a run: the site declines the question, or does not sign the set of sites."""
    if number is None:
        _decide(_required(run), common, approved=False, whole=whole)
        return
    with opened(common.settings()) as journal:
        revoked = standing.revoke(journal, number)
    common.report({"revoked": revoked.number}, f"revoked standing approval {revoked.number}")


def _required(run: str | None) -> str:
    if run is None:
        raise ParameterError("name the run; list what waits with: runs")
    return run


def _key(journal: Journal, digits: str | None) -> bytes:
    """Return the key that begins with these digits, among the sites of all confirmed rosters; b"" for any site."""
    if digits is None:
        return b""
    ledger = Ledger(journal.connection)
    rosters = (known.roster for project in ledger.projects() if (known := ledger.confirmed(project)))
    found = {key for roster in rosters for key in roster.sites if key.hex().startswith(digits.lower())}
    if len(found) != 1:
        raise ParameterError(
            f"{len(found)} keys in this site's confirmed rosters begin with {digits}; see project show"
        )
    return found.pop()


def _decide(run: str, common: SiteOptions, *, approved: bool, whole: bool) -> None:
    with opened(common.settings()) as journal:
        found = Ledger(journal.connection).find_run(run)
        about = decide(journal, found, approved=approved, whole=whole)
    said = "approved" if approved else "denied"
    if about is None:
        subject = "all queries of the run"
    elif about.query is not None:
        subject = f"{about.query.statistic} over {about.query.dataset}, in this round and later ones of the run"
    else:
        subject = f"the sum over {len(about.sites)} sites"
    common.report({"run": str(found), "approved": approved, "subject": subject}, f"{said}: {subject}")
