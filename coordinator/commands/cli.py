"""Run projects and analyses over many sites: `secagg-coordinator`, or `python -m coordinator`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

import typer

from coordinator.commands import duty, run
from coordinator.commands.options import AsJson, Config, Data, ProjectId
from coordinator.commands.receipt import receipt_app
from coordinator.session.config import CoordinatorConfig
from coordinator.session.session import Session, alone, in_office, passphrase
from relay.party import keystore
from relay.service.command import report
from relay.service.command import run as run_command
from secagg.errors import ParameterError
from secagg.identity import key_words

app = typer.Typer(name="secagg-coordinator", no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
project_app = typer.Typer(no_args_is_help=True, help="Projects that this identity coordinates.")
app.add_typer(project_app, name="project")
app.add_typer(receipt_app, name="receipt")

for command in (*run.COMMANDS, *duty.COMMANDS):
    app.command()(command)
project_app.command("tasks")(run.project_tasks)


def main() -> None:
    """Run a command and report any error in one line on stderr."""
    run_command(app, "secagg-coordinator")


@app.command()
def enroll(
    token: Annotated[str, typer.Option(help="join token with the role coordinator")],
    name: Annotated[str, typer.Option(help="name of this coordinator, as shown to the sites")],
    relay: Annotated[str | None, typer.Option(help="the relay's address")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Generate this coordinator's key and enrol it.

    SECAGG_COORDINATOR_PASSPHRASE_FILE names the file with the passphrase that protects the key.
    """
    from relay.client.enrolment import enrol  # noqa: PLC0415  # the other commands need no enrolment

    settings = CoordinatorConfig.load(relay=relay, data=data, config=config)
    settings.require_relay()
    identity, site = asyncio.run(
        enrol(settings.identity, settings.passphrase.get_secret_value(), settings.client, token=token, name=name)
    )
    words = key_words(identity.public)
    facts = {"name": site.name, "key": identity.public.hex(), "words": words}
    report(facts, f"enrolled as {site.name}\n  {words}", as_json=as_json)


@app.command("rotate-key")
def rotate_key(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Replace this coordinator's key in every project; each site's officer then confirms the new words.

    Stop all runs first. The old key is destroyed.
    """
    from relay.client.enrolment import rotate  # noqa: PLC0415

    settings = CoordinatorConfig.load(data=data, config=config)
    settings.require_relay()
    with alone(settings):
        identity = asyncio.run(rotate(settings.identity, passphrase(settings), settings.client))
    words = key_words(identity.public)
    report({"key": identity.public.hex(), "words": words}, f"the new key's words:\n  {words}", as_json=as_json)


@app.command()
def deregister(
    confirm: Annotated[bool, typer.Option("--yes", help="confirm; this cannot be undone")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Leave the relay permanently: memberships end, and the key is revoked and destroyed."""
    from relay.client.enrolment import deregister as end  # noqa: PLC0415

    settings = CoordinatorConfig.load(data=data, config=config)
    settings.require_relay()
    if not confirm:
        raise ParameterError("deregistering ends all memberships and destroys the key; confirm with --yes")
    with alone(settings):
        identity = keystore.unlock(settings.identity, passphrase(settings))
        asyncio.run(end(settings.identity, identity, settings.client))
    report({"key": identity.public.hex(), "destroyed": True}, "deregistered; the key is destroyed", as_json=as_json)


# Projects ----------------------------------------------------------------------------------------------------------


@project_app.command("create")
def project_create(
    name: Annotated[str, typer.Argument(help="the project's name")],
    terms: Annotated[Path, typer.Option(help="TOML file that states what the project may ask")],
    mode: Annotated[
        Literal["masks", "he"] | None,
        typer.Option(help="masks, or he: only the sites can open the sums; overrides the file"),
    ] = None,
    publish: Annotated[
        bool | None,
        typer.Option("--publish/--no-publish", help="in mode he, whether the sites send you the sums that they opened"),
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Create a project. Its terms are final: every site's officer confirms them."""
    from coordinator.projects.projects import read_terms  # noqa: PLC0415  # each command loads what it needs

    said = {name: value for name, value in (("mode", mode), ("publish", publish)) if value is not None}
    content = read_terms(terms, said).encode()
    project = uuid4()

    async def work(office: Session) -> None:
        await office.relay.create_project(project, name, content)

    in_office(data, config, work)
    report({"id": str(project), "name": name}, f"{project}", as_json=as_json)


@project_app.command("invite")
def project_invite(
    project: ProjectId,
    sites: Annotated[
        list[str] | None, typer.Argument(help="names of the sites; by default, every site of the relay")
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Invite sites. Each site answers according to its own policy."""
    from coordinator.projects.projects import invite  # noqa: PLC0415

    async def work(office: Session) -> list[str]:
        return await invite(office.relay, project, sites or [])

    invited = in_office(data, config, work)
    report({"invited": invited}, f"invited: {', '.join(invited)}", as_json=as_json)


@project_app.command("show")
def project_show(project: ProjectId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show how the sites responded to the invitation."""

    async def work(office: Session) -> Any:
        return await office.relay.project(project)

    found = in_office(data, config, work)
    members = [{"name": one.name, "state": one.state.value, "reason": one.reason} for one in found.members]
    lines = [f"{one['name']:<24} {one['state']:<10} {one['reason']}" for one in members]
    facts = {"id": str(project), "name": found.name, "members": members, "sealed": found.roster is not None}
    report(facts, "\n".join(lines) or "no site has been invited", as_json=as_json)


@project_app.command("seal")
def project_seal(project: ProjectId, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Seal the roster of all sites that joined, and show the twelve words for the officers to compare."""
    from coordinator.projects.projects import SealedProject, seal  # noqa: PLC0415

    async def work(office: Session) -> SealedProject:
        return await seal(office.relay, project)

    done = in_office(data, config, work)
    words = done.roster.words()
    sites = [done.names[key] for key in done.roster.sites]
    report(
        {"id": str(project), "sites": sites, "words": words},
        f"{len(sites)} sites: {', '.join(sites)}\nRead these words to each officer over the telephone:\n  {words}",
        as_json=as_json,
    )


@app.command()
def catalogue(
    project: ProjectId,
    entries: Annotated[
        list[Path] | None, typer.Argument(help="files with signed entries, instead of the entries that the sites sent")
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show which of the project's variables each site has, their coding, and the approximate number of rows.

    The first call requests the catalogue, once the roster is sealed. Sites answer with: data catalogue PROJECT --send
    """
    from coordinator.projects import catalogue as catalogues  # noqa: PLC0415
    from participant.study.terms import ProjectTerms  # noqa: PLC0415

    async def work(office: Session) -> Any:
        if entries:
            sent: dict[str, bytes] | None = catalogues.read_files(entries)
        else:
            sent = await catalogues.received(office.relay, office.identity, project)
        return await office.relay.project(project), sent

    found, sent = in_office(data, config, work)
    names = {member.key: member.name for member in found.members}
    gathered = catalogues.gather(project, ProjectTerms.decode(found.terms), names, sent or {})
    words = (
        "catalogue requested; the sites answer with: data catalogue PROJECT --send"
        if sent is None
        else catalogues.as_words(gathered)
    )
    report(catalogues.as_facts(gathered), words, as_json=as_json)


@app.command()
def demo(
    sites: Annotated[int, typer.Option(help="number of hospitals, 3 to 9")] = 9,
    kill: Annotated[int, typer.Option(help="number of hospitals to kill in the middle of a round")] = 1,
    port: Annotated[int, typer.Option(help="port of the relay; 0 picks a free one")] = 0,
    out: Annotated[Path, typer.Option(help="folder for the figures and the report")] = Path("demo-results"),
    as_json: AsJson = False,
) -> None:
    """Fit a Cox model over nine real institutions on this machine, without revealing any institution's data."""
    from coordinator.demo.demonstrate import demonstrate  # noqa: PLC0415  # lifelines is an extra

    asyncio.run(demonstrate(sites=sites, kill=kill, port=port, out=out, as_json=as_json))
