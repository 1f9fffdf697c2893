"""Projects as their coordinator sees them: terms, invitations, the roster and its words."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from participant.analyses.base.errors import SpecError
from participant.analyses.base.spec import TableSpec
from participant.analyses.catalogue import parse_spec
from participant.statistics.language.query import in_words
from participant.study.asks import columns_of, statistics_of
from participant.study.plan import Plan, PlanError, read_plan
from participant.study.review import check
from participant.study.terms import ProjectTerms
from relay.client.transport import MemberState, RelayClient, RelayProject
from relay.service.designation import designated
from secagg.errors import NotEnoughParticipantsError, ParameterError
from secagg.identity import Roster
from secagg.params import MAX_HOMOMORPHIC_SITES


@dataclass(frozen=True, slots=True)
class SealedProject:
    """A project with a sealed roster: the sites that may be asked, and those that confirmed the roster."""

    project: RelayProject
    terms: ProjectTerms
    roster: Roster
    roster_version: int
    confirmed: tuple[bytes, ...]

    @property
    def names(self) -> dict[bytes, str]:
        return {member.key: member.name for member in self.project.members}


def read_terms(path: Path, said: Mapping[str, object] | None = None) -> ProjectTerms:
    """Read a project's terms from a TOML file; members of `said` override those of the file.

    If the file has `[[tasks]]`, they become the plan, and columns and statistics default to those the tasks use.

    Raises:
        SpecError: the file is not TOML, has unknown members, or has values that are not allowed.
        PlanError: a task is invalid, or cannot be part of a plan; the message says where in the file.
    """
    try:
        document = _with_floors({**tomllib.loads(path.read_text(encoding="utf-8")), **(said or {})})
        terms = ProjectTerms.model_validate(_planned(document) if "tasks" in document else document, strict=False)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not a TOML file: {error}") from None
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from None
    except ValidationError as error:
        raise SpecError(f"{path}: {in_words(error, ProjectTerms)}") from None
    check(terms)
    return terms


def _with_floors(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's terms; where the sites open the sums and publish them, floors hold over all sites by default."""
    pooled = {"floors": "pooled"} if document.get("mode") == "he" and document.get("publish") is True else {}
    return {**pooled, **document}


def _planned(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's terms, with the plan parsed and the columns and statistics that its tasks use."""
    members = document.keys() & Plan.model_fields.keys()
    dataset = document.get("dataset")
    if not isinstance(dataset, str):
        raise SpecError("dataset: the terms of a project name it")
    plan = read_plan({name: document[name] for name in members}, dataset)
    specs = [spec for _, spec in plan.specs(dataset)]
    asked = {
        "columns": sorted(frozenset().union(*map(columns_of, specs))),
        "statistics": sorted(frozenset().union(*map(statistics_of, specs))),
    }
    return asked | {name: value for name, value in document.items() if name not in members} | {"plan": plan}


async def led(relay: RelayClient) -> dict[UUID, str]:
    """Return the names of the projects that this identity coordinates, by ID."""
    return {one.id: one.name for one in await relay.projects() if one.coordinator == relay.key}


async def find(relay: RelayClient, given: str) -> UUID:
    """Return the ID of a project that this identity coordinates, given by its name, its ID or the ID's beginning.

    Raises:
        ParameterError: no project has it, or several do.
    """
    return designated(given, await led(relay), "project", see="secagg-coordinator project list")


async def invite(relay: RelayClient, project: UUID, names: list[str]) -> list[str]:
    """Invite sites by the names under which they enrolled, or by default all other sites of the relay.

    Raises:
        ParameterError: no site or more than one has such a name; in that case none is invited.
    """
    known = [site for site in await relay.sites() if site.key != relay.key]
    chosen = known if not names else [site for site in known if site.name in names]
    for name in names:
        if sum(site.name == name for site in known) != 1:
            raise ParameterError(f"the name {name!r} does not identify one enrolled site; nobody was invited")
    for site in chosen:
        await relay.invite(project, site.key)
    return [site.name for site in chosen]


async def seal(relay: RelayClient, project: UUID) -> SealedProject:
    """Seal the roster of all sites that joined; officers then compare its words.

    Raises:
        NotEnoughParticipantsError: fewer sites joined than the terms require.
        ParameterError: more sites joined than the terms' mode allows.
    """
    found = await relay.project(project)
    joined = [one.key for one in found.members if one.state in {MemberState.JOINED, MemberState.CONFIRMED}]
    terms = ProjectTerms.decode(found.terms)
    if len(joined) < terms.minimum_sites:
        raise NotEnoughParticipantsError(
            f"{len(joined)} sites joined; the project's terms require {terms.minimum_sites}"
        )
    if terms.mode == "he" and len(joined) > MAX_HOMOMORPHIC_SITES:
        raise ParameterError(
            f"{len(joined)} sites joined, but mode he allows at most {MAX_HOMOMORPHIC_SITES}; invite fewer sites"
        )
    await relay.seal_roster(project, joined)
    return await sealed(relay, project)


async def set_tasks(relay: RelayClient, project: UUID, tasks: tuple[TableSpec, ...]) -> RelayProject:
    """Replace a project's tasks. They serve only people and planning: signed frames determine what a site computes.

    Raises:
        ParameterError: a task uses a dataset other than the project's, or is too long.
    """
    found = await relay.project(project)
    terms = ProjectTerms.decode(found.terms)
    if terms.plan is not None:
        raise ParameterError("the project's tasks are those of its plan")
    if beyond := sorted({task.dataset for task in tasks} - {terms.dataset}):
        raise ParameterError(f"the project is about dataset {terms.dataset}, but a task is about {', '.join(beyond)}")
    parameters = [(task.analysis, task.model_dump_json(exclude_none=True).encode()) for task in tasks]
    return await relay.set_tasks(project, parameters, version=found.tasks_version)


def tasks_of(project: RelayProject) -> tuple[TableSpec, ...]:
    """Return a project's tasks, in order: those of its plan, if it has one.

    Raises:
        SpecError: this release does not know one of them.
    """
    terms = ProjectTerms.decode(project.terms)
    if terms.plan is not None:
        return tuple(spec for _, spec in terms.plan.specs(terms.dataset))
    try:
        return tuple(parse_spec(json.loads(task.parameters)) for task in project.tasks)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SpecError(f"a task of the project cannot be read: {error}") from None


def task_of_plan(terms: ProjectTerms, name: str) -> int:
    """Return the place of a task in a project's plan.

    Raises:
        ParameterError: the project has no plan, or none of its tasks has this name.
    """
    names = [task.name for task in terms.plan.tasks] if terms.plan else []
    if name not in names:
        known = ", ".join(names) or "none, since it has no plan"
        raise ParameterError(f"{name!r} is neither a file nor a task of the project's plan; its tasks: {known}")
    return names.index(name)


async def sealed(relay: RelayClient, project: UUID) -> SealedProject:
    """Return a project with its roster.

    Raises:
        ParameterError: the roster is not sealed, or another identity coordinates the project.
    """
    found = await relay.project(project)
    if found.coordinator != relay.key:
        raise ParameterError("another identity coordinates this project")
    if found.roster is None:
        raise ParameterError("the project has no roster yet; seal it once the sites have answered: project seal")
    confirmed = tuple(one.key for one in found.members if one.state is MemberState.CONFIRMED)
    roster = Roster.of(found.id.bytes, found.terms, found.coordinator, found.roster.sites)
    return SealedProject(found, ProjectTerms.decode(found.terms), roster, found.roster.version, confirmed)
