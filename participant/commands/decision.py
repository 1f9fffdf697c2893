"""The officer's commands: runs, what waits, decisions, the ledger. They work while the daemon runs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from participant.commands.options import AsJson, Config, Data
from participant.records.ledger import Ledger
from participant.settings.config import ParticipantConfig
from participant.settings.session import opened_journal
from relay.service.command import report
from secagg.audit import BrokenChainError
from secagg.errors import ParameterError

app = typer.Typer()
audit_app = typer.Typer(no_args_is_help=True, help="Check that the ledger is as the daemon wrote it.")
policy_app = typer.Typer(no_args_is_help=True, help="What this site allows.")
app.add_typer(audit_app, name="audit")
app.add_typer(policy_app, name="policy")

RunId = Annotated[UUID, typer.Argument(help="ID of the run, as shown by: runs")]
Whole = Annotated[
    bool,
    typer.Option(
        "--whole", help="decide about everything that the run asks within the project's terms, also in advance"
    ),
]


@app.command()
def pause(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Stop all activity of this site immediately: it reads, computes, signs and sends nothing until `resume`."""
    from participant.records.decisions import set_pause  # noqa: PLC0415  # needs the statistics

    with opened_journal(data, config) as journal:
        set_pause(journal, paused=True)
    report({"paused": True}, "paused; open rounds may go on without this site", as_json=as_json)


@app.command()
def resume(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """End the pause, so that the site works again."""
    from participant.records.decisions import set_pause  # noqa: PLC0415

    with opened_journal(data, config) as journal:
        set_pause(journal, paused=False)
    report({"paused": False}, "this site works again", as_json=as_json)


@app.command()
def runs(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the runs that this site has joined, what left for each, and what waits for a decision."""
    from participant.records.decisions import Decisions  # noqa: PLC0415

    with opened_journal(data, config) as journal:
        ledger, decisions = Ledger(journal.connection), Decisions(journal.connection)
        waiting = {one.run: one for one in decisions.waiting()}
        released: dict[str, list[float]] = {}
        for entry in ledger.entries():
            if entry["what"] == "upload":
                released.setdefault(entry["run"], []).append(entry["at"])
        is_open = {name.partition(".")[0] for name in journal.machines()}
        found: list[dict[str, Any]] = [
            {
                "run": str(run),
                "project": str(project),
                "state": ended or ("open" if str(run) in is_open else "over"),
                "releases": len(released.get(str(run), ())),
                "last": max(released.get(str(run), ()), default=None),
                "waits": list(waiting[run].rules) if run in waiting else [],
            }
            for run, project, ended in ledger.joined()
        ]
        paused = decisions.is_paused()
    lines = [
        f"{one['run']}  {one['state']:<10} {one['releases']:>6} releases"
        + (f"  waits: {', '.join(one['waits'])}" if one["waits"] else "")
        for one in found
    ]
    words = "\n".join((["this site is paused"] if paused else []) + lines) or "this site has joined no run yet"
    report({"runs": found, "paused": paused}, words, as_json=as_json)


@app.command()
def approve(
    run: RunId, whole: Whole = False, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Approve what waits in a run: a question and its later rounds, or a set of sites. Look at `explain` first."""
    _decide(run, data, config, approved=True, whole=whole, as_json=as_json)


@app.command()
def deny(run: RunId, whole: Whole = False, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Deny what waits in a run: the site declines the question, or does not sign the set of sites."""
    _decide(run, data, config, approved=False, whole=whole, as_json=as_json)


@app.command()
def explain(run: RunId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Explain in plain words what a run asks: columns, rows, numbers, floors, cost, nearness to earlier answers."""
    from participant.data.store.store import DatasetStore  # noqa: PLC0415
    from participant.policy.explain import explain as explained  # noqa: PLC0415
    from participant.policy.explain import in_words  # noqa: PLC0415
    from participant.policy.rules import Policy  # noqa: PLC0415

    settings = ParticipantConfig.load(data=data, config=config)
    policy = Policy() if settings.policy is None else Policy.read(settings.policy)
    with opened_journal(data, config) as journal:
        facts = explained(run, journal, DatasetStore(settings.datasets), policy)
    report(facts, in_words(facts), as_json=as_json)


@app.command()
def ledger(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show everything that ever left this site and every decision, and check that no entry was altered."""
    with opened_journal(data, config) as journal:
        book = Ledger(journal.connection)
        entries, head = book.entries(), book.head
    lines = [
        f"{number:>6}  {_date(entry['at'])}  {entry['what']:<10} {_place(entry)}"
        for number, entry in enumerate(entries, 1)
    ]
    words = "\n".join(lines) or "nothing has left this site"
    report({"entries": entries, "unbroken": True, "head": head}, words, as_json=as_json)


@audit_app.command("verify")
def audit_verify(
    head: Annotated[
        str | None, typer.Option(help="a head noted earlier; the ledger must still contain its entry")
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check the ledger's hash chain offline and report where it breaks. Keep a note of the printed head elsewhere.

    Without a noted head, a truncated or rewritten ledger looks like an intact one.
    """
    with opened_journal(data, config) as journal:
        book = Ledger(journal.connection)
        last = book.head
        try:
            chain = book.chain()
        except BrokenChainError as error:
            entry = error.position + 1
            words = f"the chain breaks at entry {entry}: it or an earlier entry was changed, removed or moved"
            report({"unbroken": False, "breaks_at": entry}, words, as_json=as_json)
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
    report({"entries": len(chain), "unbroken": True, "head": last, "noted": noted}, words, as_json=as_json)


@policy_app.command("schema")
def policy_schema() -> None:
    """Print the JSON schema of a policy file, for editors and generators."""
    from participant.policy.rules import schema_text  # noqa: PLC0415

    typer.echo(schema_text(), nl=False)


@policy_app.command("show")
def policy_show(
    file: Annotated[Path | None, typer.Option(help="policy file; default: the one in the settings")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check a policy file and print every rule in force, including defaults."""
    from participant.policy.rules import Policy  # noqa: PLC0415

    path = file or ParticipantConfig.load(data=data, config=config).policy
    rules = (Policy() if path is None else Policy.read(path)).model_dump(mode="json")
    words = "\n".join(f"{rule:<24} {'all' if value is None else value}" for rule, value in rules.items())
    report({"file": str(path) if path else None, "rules": rules}, words, as_json=as_json)


def _decide(run: UUID, data: Path | None, config: Path | None, *, approved: bool, whole: bool, as_json: bool) -> None:
    from participant.records.decisions import decide  # noqa: PLC0415

    with opened_journal(data, config) as journal:
        about = decide(journal, run, approved=approved, whole=whole)
    said = "approved" if approved else "denied"
    if about is None:
        subject = "all queries of the run"
    elif about.query is not None:
        subject = f"{about.query.statistic} over {about.query.dataset}, in this round and later ones of the run"
    else:
        subject = f"the sum over {len(about.sites)} sites"
    report({"run": str(run), "approved": approved, "subject": subject}, f"{said}: {subject}", as_json=as_json)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _place(entry: dict[str, Any]) -> str:
    parts = [f"{word} {entry[word]}" for word in ("round", "run", "project", "by") if entry.get(word)]
    return "  ".join(parts[:-1] if "run" in entry and "by" not in entry else parts)
