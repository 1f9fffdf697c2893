"""`secagg-participant project show`, `agree`, `decline` and `leave`: what a project asks, and the officer's answer."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from participant.commands.options import ProjectArgument, SiteOptions
from participant.data.store.store import DatasetStore
from participant.policy.rules import Policy
from participant.projects import confirmation
from participant.projects.plan_view import plan_view
from participant.settings.session import SiteSession, in_session
from relay.client.transport import RelayProject
from relay.service.command import Commands
from secagg.errors import ParameterError

app = Commands()


@app.command("show")
def show(project: ProjectArgument, common: SiteOptions) -> None:
    """Show what a project may ask, its plan and what the review finds, its members, and the roster's words."""
    settings = common.settings()

    async def work(session: SiteSession) -> confirmation.View:
        return await confirmation.view(session.relay, await confirmation.find(session.relay, project))

    seen = in_session(settings, work)
    plan = plan_view(seen.terms, DatasetStore(settings.datasets))
    words = seen.roster.words() if seen.roster else None
    facts = {
        "id": str(seen.project.id),
        "name": seen.project.name,
        "coordinator": seen.project.coordinator.hex(),
        "terms": seen.terms.model_dump(mode="json"),
        "members": [{"name": one.name, "state": one.state.value, "key": one.key.hex()} for one in seen.project.members],
        "words": words,
        "plan": plan.facts(),
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
        plan.words(),
    ]
    common.report(facts, "\n".join(lines))


@app.command("agree")
@app.command("accept", hidden=True)
def agree(
    project: ProjectArgument,
    common: SiteOptions,
    words: Annotated[
        str | None, typer.Option(help="the twelve words that the coordinator's officer read to you")
    ] = None,
    words_file: Annotated[Path | None, typer.Option(help="file with these words, instead of --words")] = None,
    plan: Annotated[str | None, typer.Option(help="code of the plan that you have read, from: project show")] = None,
) -> None:
    """Agree to a project: its roster, terms and plan. Type the words that you heard, not those shown here."""
    settings = common.settings()
    policy = Policy() if settings.policy is None else Policy.read(settings.policy)
    if (words is None) == (words_file is None):
        raise ParameterError("give the words with --words, or a file with --words-file")
    given = words if words is not None else Path(str(words_file)).read_text(encoding="utf-8")

    async def work(session: SiteSession) -> RelayProject:
        found = await confirmation.find(session.relay, project)
        view = await confirmation.agree(session.relay, session.journal, session.identity, policy, found, given, plan)
        return view.project

    agreed = in_session(settings, work)
    common.report({"project": str(agreed.id), "confirmed": True}, f"confirmed: {agreed.name}")


@app.command("decline")
@app.command("leave")
def leave(project: ProjectArgument, common: SiteOptions) -> None:
    """Decline or leave a project. The coordinator is told, and this site joins no further runs."""

    async def work(session: SiteSession) -> UUID:
        found = await confirmation.find(session.relay, project)
        await confirmation.leave(session.relay, session.journal, found)
        return found

    common.report({"project": str(in_session(common.settings(), work)), "left": True}, "left")
