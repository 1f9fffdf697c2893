"""The hospital's commands: `secagg-participant`, also `python -m participant`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from participant.commands import decision, health, key, log, rehearsal, setup
from participant.commands.data import data_app
from participant.commands.options import AsJson, Config, Data, ProjectId
from participant.commands.receipt import receipt_app
from participant.records.ledger import Ledger
from participant.settings.config import ParticipantConfig
from participant.settings.session import SiteSession, in_office, opened_journal, unlocked
from relay.service.command import report, run
from relay.service.memory import keep_private
from secagg.errors import ParameterError

app = typer.Typer(name="secagg-participant", no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
project_app = typer.Typer(no_args_is_help=True, help="Projects that this site is invited to or takes part in.")
app.add_typer(setup.app)
app.add_typer(decision.app)
app.add_typer(key.app)
app.add_typer(health.app)
app.add_typer(rehearsal.app)
app.add_typer(log.app, name="log")
app.add_typer(data_app, name="data")
app.add_typer(receipt_app, name="receipt")
app.add_typer(project_app, name="project")


def main() -> None:
    """Run a command; an error prints one line on stderr."""
    run(app, "secagg-participant")


@app.command()
def start(
    data: Data = None,
    admin_port: Annotated[int | None, typer.Option(help="port for health and metrics, on localhost")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run the daemon until SIGTERM. Logs go to stderr; with --json, one line on stdout reports when it is ready."""
    from participant.daemon.process import serve  # noqa: PLC0415  # only the daemon loads Numba

    keep_private()
    settings = ParticipantConfig.load(data=data, admin_port=admin_port, config=config)
    settings.require_relay()
    asyncio.run(serve(settings, unlocked(settings), announce=as_json))


@app.command()
def results(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show the sums that this site contributed to and verified, including those that only the sites opened."""
    from participant.records.results import as_facts, as_words, kept  # noqa: PLC0415  # needs the statistics

    with opened_journal(data, config) as journal:
        found = kept(Ledger(journal.connection))
    words = "\n\n".join(as_words(one) for one in found)
    report({"results": [as_facts(one) for one in found]}, words or "this site has no sums yet", as_json=as_json)


# Projects ----------------------------------------------------------------------------------------------------------


@project_app.command("list")
def project_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the projects that this site was invited to."""

    async def work(office: SiteSession) -> list[dict[str, Any]]:
        return [
            {"id": str(one.id), "name": one.name, "state": one.state.value, "membership": str(one.membership or "")}
            for one in await office.relay.projects()
        ]

    projects = in_office(data, config, work)
    words = "\n".join(f"{one['id']}  {one['membership']:<10} {one['name']}" for one in projects)
    report({"projects": projects}, words or "this site has no invitations", as_json=as_json)


@project_app.command("show")
def project_show(project: ProjectId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what a project may ask, its members, and the words of its roster."""
    from participant.projects.confirmation import View, view  # noqa: PLC0415

    async def work(office: SiteSession) -> View:
        return await view(office.relay, project)

    seen = in_office(data, config, work)
    words = seen.roster.words() if seen.roster else None
    facts = {
        "id": str(project),
        "name": seen.project.name,
        "coordinator": seen.project.coordinator.hex(),
        "terms": seen.terms.model_dump(mode="json"),
        "members": [{"name": one.name, "state": one.state.value, "key": one.key.hex()} for one in seen.project.members],
        "words": words,
    }
    lines = [
        f"{seen.project.name}: {seen.terms.purpose}",
        f"coordinator's key {seen.project.coordinator.hex()}",
        f"dataset {seen.terms.dataset}, columns {', '.join(seen.terms.columns)}",
        f"statistics {', '.join(seen.terms.statistics)}",
        f"profile {seen.terms.profile}; if a site is lost: {seen.terms.loss_rule}",
        f"mode {seen.terms.mode}: the sums become known to the sites"
        + (" and the coordinator" if seen.terms.coordinator_learns else " alone"),
        *(f"  {one.key.hex()}  {one.name}: {one.state.value}" for one in seen.project.members),
        f"The roster's words; compare them with the coordinator's officer by telephone:\n  {words}"
        if words
        else "The roster is not sealed yet.",
    ]
    report(facts, "\n".join(lines), as_json=as_json)


@project_app.command("accept")
def project_accept(
    project: ProjectId,
    words: Annotated[
        str | None, typer.Option(help="the twelve words that the coordinator's officer read to you")
    ] = None,
    words_file: Annotated[Path | None, typer.Option(help="file with these words, instead of --words")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Confirm a project's roster. Type the words that you heard, not those that this machine shows."""
    from participant.projects.confirmation import accept  # noqa: PLC0415

    if (words is None) == (words_file is None):
        raise ParameterError("give the words with --words, or a file with --words-file")
    given = words if words is not None else Path(str(words_file)).read_text(encoding="utf-8")

    async def work(office: SiteSession) -> str:
        return (await accept(office.relay, office.journal, office.identity, project, given)).project.name

    name = in_office(data, config, work)
    report({"project": str(project), "confirmed": True}, f"confirmed: {name}", as_json=as_json)


@project_app.command("leave")
def project_leave(project: ProjectId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Leave a project. Its coordinator sees it, and this site joins no further runs."""
    from participant.projects.confirmation import leave  # noqa: PLC0415

    async def work(office: SiteSession) -> None:
        await leave(office.relay, office.journal, project)

    in_office(data, config, work)
    report({"project": str(project), "left": True}, "left", as_json=as_json)
