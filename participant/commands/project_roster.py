"""`secagg-participant project show`, `agree`, `decline` and `leave`: what a project asks, and the officer's answer."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from participant.commands.options import ProjectArgument, SiteOptions
from participant.data.store.store import DatasetStore
from participant.policy.rules import Policy
from participant.projects import amendments, confirmation
from participant.projects.plan_view import amendment_views, plan_view
from participant.records.ledger import Ledger
from participant.settings.session import SiteSession, in_session
from relay.service.command import Commands
from secagg.amendment import FIRST_VERSION
from secagg.errors import ParameterError

_POOLED = (
    "floors pooled: this site hides no small group of its own. All sites open each sum together, see it whole, and "
    "send the coordinator only what stands for enough persons over all of them"
)

app = Commands()

Version = Annotated[int | None, typer.Option(min=2, help="number of a later version of the plan, from: project show")]


@app.command("show")
def show(project: ProjectArgument, common: SiteOptions) -> None:
    """Show what a project may ask, its plan and what the review finds, its members, and the roster's words."""
    settings = common.settings()

    async def work(session: SiteSession) -> tuple[confirmation.View, tuple[amendments.ProjectVersion, ...]]:
        found = await confirmation.find(session.relay, project)
        return await confirmation.view(session.relay, found), await _history(session, found)

    seen, known = in_session(settings, work)
    store = DatasetStore(settings.datasets)
    plan = plan_view(seen.terms, store)
    later = amendment_views(known, store)
    words = seen.roster.words() if seen.roster else None
    facts = {
        "id": str(seen.project.id),
        "name": seen.project.name,
        "coordinator": seen.project.coordinator.hex(),
        "terms": seen.terms.model_dump(mode="json"),
        "members": [{"name": one.name, "state": one.state.value, "key": one.key.hex()} for one in seen.project.members],
        "words": words,
        "plan": plan.facts(),
        "amendments": [one.facts() for one in later],
    }
    lines = [
        f"{seen.project.name}: {seen.terms.purpose}",
        f"coordinator's key {seen.project.coordinator.hex()}",
        f"dataset {seen.terms.dataset}, columns {', '.join(seen.terms.columns)}",
        f"statistics {', '.join(seen.terms.statistics)}",
        f"profile {seen.terms.profile}; if a site is lost: {seen.terms.loss_rule}",
        f"mode {seen.terms.mode}: the sums become known to the sites"
        + (" and the coordinator" if seen.terms.coordinator_learns else " alone"),
        *([_POOLED] if seen.terms.pooled else []),
        *(f"  {one.key.hex()}  {one.name}: {one.state.value}" for one in seen.project.members),
        f"The roster's words; compare them with the coordinator's officer by telephone:\n  {words}"
        if words
        else "The roster is not sealed yet.",
        plan.words(),
        *(one.words() for one in later),
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
    version: Version = None,
) -> None:
    """Agree to a project: its roster, terms and plan. Type the words that you heard, not those shown here.

    A later version of its plan needs no words, since it changes no key.
    """
    settings = common.settings()
    policy = Policy() if settings.policy is None else Policy.read(settings.policy)
    if words_file is not None and words is None:
        words = words_file.read_text(encoding="utf-8")
    elif words_file is not None or (words is not None and version is not None):
        raise ParameterError("give the words with --words, or a file with --words-file; a --version needs none")

    async def work(session: SiteSession) -> tuple[UUID, str, int]:
        found = await confirmation.find(session.relay, project)
        if words is not None:
            view = await confirmation.agree(
                session.relay, session.journal, session.identity, policy, found, words, plan
            )
            return found, view.project.name, FIRST_VERSION
        known = await _history(session, found)
        if version is None and all(one.agreed is not None for one in known):
            raise ParameterError("give the words with --words, or a file with --words-file")
        chosen = amendments.named(known, version)
        store = DatasetStore(settings.datasets)
        await amendments.agree(session.relay, session.journal, session.identity, policy, store, known, chosen, plan)
        return found, f"version {chosen.number} of the plan", chosen.number

    agreed, name, number = in_session(settings, work)
    common.report({"project": str(agreed), "confirmed": True, "version": number}, f"confirmed: {name}")


@app.command("decline")
@app.command("leave")
def leave(project: ProjectArgument, common: SiteOptions, version: Version = None) -> None:
    """Decline or leave a project. The coordinator is told, and this site joins no further runs.

    With --version, decline that version of its plan only.
    """

    async def work(session: SiteSession) -> UUID:
        found = await confirmation.find(session.relay, project)
        if version is None:
            await confirmation.leave(session.relay, session.journal, found)
        else:
            chosen = amendments.named(await _history(session, found), version)
            await amendments.decline(session.relay, session.journal, session.identity, chosen)
        return found

    left = str(in_session(common.settings(), work))
    if version is None:
        common.report({"project": left, "left": True}, "left")
    else:
        common.report({"project": left, "declined": version}, f"declined: version {version} of the plan")


async def _history(session: SiteSession, project: UUID) -> tuple[amendments.ProjectVersion, ...]:
    return await amendments.history(session.relay, session.identity, Ledger(session.journal.connection), project)
