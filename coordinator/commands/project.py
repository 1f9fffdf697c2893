"""Commands for projects: create, invite, list, show, seal, and set tasks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

import typer

from coordinator.commands.options import CoordinatorOptions, ProjectArgument
from coordinator.projects import amendments, projects
from coordinator.runs.run_file import read_run_file
from coordinator.session.session import Session, in_session
from participant.study.amended import differences, with_earlier
from participant.study.review import code_of, review
from relay.client.transport import MemberState, RelayProject
from relay.service.command import Commands
from secagg.errors import ParameterError

app = Commands(name="project", no_args_is_help=True, help="Projects that this identity coordinates.")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="name of the project")],
    common: CoordinatorOptions,
    terms: Annotated[Path | None, typer.Option(help="TOML file that states what the project may ask")] = None,
    plan: Annotated[Path | None, typer.Option(help="TOML file with its study plan and terms; see `plan check`")] = None,
    mode: Annotated[
        Literal["masks", "he"] | None,
        typer.Option(help="masks, or he: only the sites can open the sums; overrides the file"),
    ] = None,
    publish: Annotated[
        bool | None,
        typer.Option("--publish/--no-publish", help="in mode he, whether the sites send you the sums that they opened"),
    ] = None,
) -> None:
    """Create a project. Its terms are final: every site's officer confirms them."""
    said = {name: value for name, value in (("mode", mode), ("publish", publish)) if value is not None}
    path = terms or plan
    if path is None or (terms and plan):
        raise ParameterError("give the study plan with --plan, or terms without one with --terms")
    read = projects.read_terms(path, said)
    if plan is not None and read.plan is None:
        raise ParameterError(f"{plan} has no [[tasks]], so it contains terms without a plan; give it with --terms")
    content = read.encode()
    project = uuid4()

    async def work(session: Session) -> None:
        await session.relay.create_project(project, name, content)

    in_session(common.settings(), work)
    common.report({"id": str(project), "name": name}, f"{project}")


@app.command("invite")
def invite(
    project: ProjectArgument,
    common: CoordinatorOptions,
    sites: Annotated[
        list[str] | None, typer.Argument(help="names of the sites; by default, every site of the relay")
    ] = None,
) -> None:
    """Invite sites. Each site answers according to its own policy."""

    async def work(session: Session) -> list[str]:
        return await projects.invite(session.relay, await projects.find(session.relay, project), sites or [])

    invited = in_session(common.settings(), work)
    common.report({"invited": invited}, f"invited: {', '.join(invited)}")


@app.command("show")
def show(project: ProjectArgument, common: CoordinatorOptions) -> None:
    """Show how the sites responded to the invitation."""

    async def work(session: Session) -> tuple[RelayProject, tuple[amendments.PlanVersion, ...]]:
        shown = await session.relay.project(await projects.find(session.relay, project))
        if shown.roster is None:
            return shown, ()
        sealed = await projects.sealed(session.relay, shown.id)
        return shown, await amendments.history(session.relay, session.identity, sealed)

    found, versions = in_session(common.settings(), work)
    names = {one.key: one.name for one in found.members}
    later = [_version(one, names) for one in versions[1:]]
    members = [{"name": one.name, "state": one.state.value, "reason": one.reason} for one in found.members]
    lines = [f"{one['name']:<24} {one['state']:<10} {one['reason']}" for one in members]
    lines += [
        f"version {one['version']} of the plan: agreed {', '.join(one['agreed']) or 'nobody'}; "
        f"declined {', '.join(one['declined']) or 'nobody'}; undecided {', '.join(one['undecided']) or 'nobody'}"
        for one in later
    ]
    facts = {
        "id": str(found.id),
        "name": found.name,
        "members": members,
        "sealed": found.roster is not None,
        "versions": later,
    }
    common.report(facts, "\n".join(lines) or "no site has been invited")


def _version(one: amendments.PlanVersion, names: Mapping[bytes, str]) -> dict[str, Any]:
    decided = one.agreed | one.declined
    return {
        "version": one.amended.version,
        "agreed": sorted(names[key] for key in one.agreed if key in names),
        "declined": sorted(names[key] for key in one.declined if key in names),
        "undecided": sorted(names[key] for key in one.amended.roster.sites if key not in decided),
    }


@app.command("amend")
def amend(
    project: ProjectArgument,
    common: CoordinatorOptions,
    plan: Annotated[Path, typer.Option(help="TOML file with the next version of the study plan and terms")],
) -> None:
    """Propose the next version of a project's plan to its sites. Each officer sees what it changes, and agrees or not.

    The keys are those that the officers confirmed, so nobody compares words again. A site takes part in the versions
    that it agreed to, and what it answered counts in all of them.
    """
    terms = projects.read_terms(plan, {})

    async def work(session: Session) -> tuple[amendments.PlanVersion, ...]:
        sealed = await projects.sealed(session.relay, await projects.find(session.relay, project))
        return await amendments.propose(session.relay, session.identity, sealed, terms)

    *earlier, made = in_session(common.settings(), work)
    changes = differences(earlier[-1].terms, terms)
    findings = review(with_earlier([one.terms for one in earlier], terms))
    number = made.amended.version
    facts = {
        "version": number,
        "changes": list(changes),
        "code": code_of(terms),
        "findings": [one._asdict() for one in findings],
    }
    lines = [f"proposed version {number}, code {code_of(terms)}:", *(f"  {change}" for change in changes)]
    lines += ["The review of all versions together finds:" if findings else "The review finds nothing."]
    common.report(facts, "\n".join([*lines, *map(str, findings)]))


@app.command("list")
def list_(common: CoordinatorOptions) -> None:
    """List the projects that this identity coordinates, with the sites that agreed to each."""

    async def work(session: Session) -> list[RelayProject]:
        return [await session.relay.project(project) for project in await projects.led(session.relay)]

    found = in_session(common.settings(), work)
    facts = [
        {
            "id": str(one.id),
            "name": one.name,
            "invited": len(one.members),
            "agreed": sum(member.state is MemberState.CONFIRMED for member in one.members),
            "sealed": one.roster is not None,
        }
        for one in found
    ]
    lines = [
        f"{one['id']}  {one['agreed']:>3} of {one['invited']:<3} agreed"
        f"  {'sealed' if one['sealed'] else 'open':<6}  {one['name']}"
        for one in facts
    ]
    common.report({"projects": facts}, "\n".join(lines) or "there are no projects yet; make one with: project create")


@app.command("seal")
def seal(project: ProjectArgument, common: CoordinatorOptions) -> None:
    """Seal the roster of all sites that joined, and show the twelve words for the officers to compare."""

    async def work(session: Session) -> projects.SealedProject:
        return await projects.seal(session.relay, await projects.find(session.relay, project))

    done = in_session(common.settings(), work)
    words = done.roster.words()
    sites = [done.names[key] for key in done.roster.sites]
    common.report(
        {"id": str(done.project.id), "sites": sites, "words": words},
        f"{len(sites)} sites: {', '.join(sites)}\nRead these words to each officer over the telephone:\n  {words}",
    )


@app.command("tasks")
def tasks(
    project: ProjectArgument,
    common: CoordinatorOptions,
    analysis: Annotated[Path | None, typer.Argument(help="TOML file with the tasks; without it, show them")] = None,
) -> None:
    """Set or show a project's ordered tasks. Every member sees them, and any number of runs can execute them."""
    wanted = None if analysis is None else read_run_file(analysis).tasks

    async def work(session: Session) -> Any:
        found = await projects.find(session.relay, project)
        if wanted is None:
            return projects.tasks_of(await session.relay.project(found))
        return projects.tasks_of(await projects.set_tasks(session.relay, found, wanted))

    found = in_session(common.settings(), work)
    facts = [{"task": place, **task.model_dump(mode="json", exclude_none=True)} for place, task in enumerate(found)]
    lines = [f"{place:>3}  {task.analysis}" for place, task in enumerate(found)]
    common.report({"tasks": facts}, "\n".join(lines) or "the project has no tasks")
