"""The officer's commands: what runs here, what waits, decisions, the ledger. They work beside a running daemon."""

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
audit_app = typer.Typer(no_args_is_help=True, help="Whether the ledger is what the daemon wrote.")
policy_app = typer.Typer(no_args_is_help=True, help="What this site allows.")
app.add_typer(audit_app, name="audit")
app.add_typer(policy_app, name="policy")

RunId = Annotated[UUID, typer.Argument(help="the run's ID, from: runs")]
Whole = Annotated[
    bool, typer.Option("--whole", help="all that the run asks within the project's terms, in advance too")
]


@app.command()
def pause(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Let this site fall silent at once: it reads, computes, signs and sends nothing until `resume`."""
    from participant.records.decisions import set_pause  # noqa: PLC0415  # needs the statistics

    with opened_journal(data, config) as journal:
        set_pause(journal, paused=True)
    report({"paused": True}, "paused; rounds that are open may go on without this site", as_json=as_json)


@app.command()
def resume(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Let a site that pauses work again."""
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
    words = "\n".join((["this site pauses"] if paused else []) + lines) or "this site has joined no run yet"
    report({"runs": found, "paused": paused}, words, as_json=as_json)


@app.command()
def approve(
    run: RunId, whole: Whole = False, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Approve what waits in a run, a question with its later rounds or a set of sites; `explain` shows it before."""
    _decide(run, data, config, approved=True, whole=whole, as_json=as_json)


@app.command()
def deny(run: RunId, whole: Whole = False, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Deny what waits in a run: the question is declined, or the set of sites not signed."""
    _decide(run, data, config, approved=False, whole=whole, as_json=as_json)


@app.command()
def explain(run: RunId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Say in plain words what a run asks: columns, rows, numbers, floors, cost, and nearness to earlier answers."""
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
    """Show all that ever left this site and what was decided, and check that no entry was changed."""
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
        str | None, typer.Option(help="the head that was noted at an earlier time: entries up to it must be there")
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check the ledger's hash chain, offline, and say where it breaks. Note the head that it prints, elsewhere.

    Without a noted head a ledger that was cut at its end, or written anew, cannot be told from a whole one.
    """
    with opened_journal(data, config) as journal:
        book = Ledger(journal.connection)
        last = book.head
        try:
            chain = book.chain()
        except BrokenChainError as error:
            entry = error.position + 1
            words = f"the chain breaks at entry {entry}: it or one before it was changed, removed or moved"
            report({"unbroken": False, "breaks_at": entry}, words, as_json=as_json)
            raise typer.Exit(1) from None
    known = {bytes(after).hex(): number for number, (_, after) in enumerate(chain, 1)}
    if head is not None and (head := head.strip().lower()) not in known:
        raise ParameterError(
            f"the ledger's {len(chain)} entries are a chain, but the noted head is not in it: entries were cut off, or "
            "the ledger was written anew"
        )
    noted = None if head is None else known[head]
    words = f"{len(chain)} entries, none changed, removed or moved\nhead {last}"
    if noted is not None:
        words += f"\nthe noted head is that of entry {noted}"
    report({"entries": len(chain), "unbroken": True, "head": last, "noted": noted}, words, as_json=as_json)


@policy_app.command("schema")
def policy_schema() -> None:
    """Print the JSON schema of a policy file, for editors and for those who make such files."""
    from participant.policy.rules import schema_text  # noqa: PLC0415

    typer.echo(schema_text(), nl=False)


@policy_app.command("show")
def policy_show(
    file: Annotated[Path | None, typer.Option(help="a policy file; by default that of the settings")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check a policy file and print every rule as it is in force, defaults included."""
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
