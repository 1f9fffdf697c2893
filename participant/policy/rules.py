"""Decides what this site allows, whatever others ask: pure functions of public facts.

A decision never depends on what the rows would yield, only on the project's terms, the dataset's description, the
manifest, the query, the ledger and the clock: a site that stayed away because of a small cell would disclose that the
cell is small. Only the rule `near_answers` lets a policy choose otherwise. A refusal names every rule behind it.
The JSON schema for editors is `participant/policy/policy.schema.json`.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, ValidationError, field_validator

from participant.data.model.description import Description
from participant.policy.schedule import Window, opens, zone
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import STATISTICS
from participant.statistics.language.query import MAX_PERSONS, Name, Query, Strict, in_words
from participant.study.plan import PlanError
from participant.study.review import check, code_of, least_rows, review
from participant.study.terms import ProjectTerms
from secagg import he
from secagg.errors import ParameterError
from secagg.identity import MAX_SITES
from secagg.messages import SUITES, Manifest
from secagg.params import LOSS_RULES, MIN_SITES, PROFILES, Floors, LossRule, Profile

NO_OTHER_SET = 2 * MAX_SITES
"""More sites than two sets can differ by."""
SCHEMA = Path(__file__).with_name("policy.schema.json")


class PolicyError(ParameterError):
    """The policy file is missing or invalid; the message says where."""


class RefusedError(ParameterError):
    """The site refuses; the message may be shown to the coordinator.

    Attributes:
        rules: names of the policy rules that forbid the request, which begin the message; empty if no policy could
            allow it.
    """

    def __init__(self, detail: str, *rules: str) -> None:
        self.rules = rules
        super().__init__(f"{', '.join(rules)}: {detail}" if rules else detail)


class UnfitDatasetError(RefusedError):
    """The site's own dataset does not fit a project. The message is for the site alone: it says what the site holds."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A project that a site is invited to join. `coordinator` is a public key."""

    project: UUID
    coordinator: bytes
    terms: ProjectTerms


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """A project's query as it reaches a site.

    Attributes:
        used: number of releases from this dataset to this project in the budget's period.
        now: current time, seconds since 1970.
        deadline: end of the round, seconds since 1970.
    """

    bound: BoundQuery
    offer: Offer
    used: int
    now: float
    deadline: float

    @property
    def query(self) -> Query:
        return self.bound.query


@dataclass(frozen=True, slots=True)
class AskedEpoch:
    """An epoch as a site is asked to join it.

    Attributes:
        roster: number of sites in the project's roster, whether or not they take part.
        now: current time, seconds since 1970.
    """

    manifest: Manifest
    roster: int
    now: float


class Budget(Strict):
    """How much may leave: releases (vectors that answer a query) per project and dataset in any period of `days`."""

    releases: int = Field(default=1000, ge=1, description="maximum number of releases in a period")
    days: int = Field(default=30, ge=1, le=3660, description="length of the period in days")
    epsilon: None = Field(default=None, description="reserved for differential privacy; do not set")
    delta: None = Field(default=None, description="reserved for differential privacy; do not set")

    def since(self, now: float) -> float:
        """Return the start of the period that ends at `now`, in seconds since 1970."""
        return now - self.days * 86_400


class Policy(Strict):
    """The site's policy. Every default is the cautious choice."""

    projects: tuple[UUID, ...] | None = Field(default=None, description="IDs of the allowed projects; default: all")
    coordinators: tuple[str, ...] | None = Field(
        default=None, description="keys of the allowed coordinators, in hex as `project show` prints them; default: all"
    )
    datasets: tuple[Name, ...] | None = Field(default=None, description="allowed datasets; default: all")
    columns: dict[Name, tuple[Name, ...]] | None = Field(
        default=None, description="columns that queries may read or filter by, for each dataset; default: all"
    )
    statistics: tuple[Name, ...] | None = Field(default=None, description="allowed statistics; default: all")
    minimum_rows: int = Field(
        default=10, ge=1, description="fewest rows that a project's dataset must have at this site"
    )
    minimum_sites: int = Field(default=MIN_SITES, ge=MIN_SITES, description="fewest sites in a roster")
    minimum_survivors: int = Field(default=MIN_SITES, ge=MIN_SITES, description="fewest sites in any sum")
    minimum_persons: int = Field(
        default=5,
        ge=1,
        le=MAX_PERSONS,
        description="smallest floor, in persons, that a query may name, unless single_persons is set",
    )
    minimum_cell: int = Field(
        default=5, ge=1, le=MAX_PERSONS, description="the same for queries that count people in cells, such as tables"
    )
    single_persons: bool = Field(
        default=False,
        description="allow sums without a floor, or with a smaller one, which can show the values of a single person",
    )
    profile: Literal["malicious", "semi-honest"] = Field(default="malicious", description="weakest profile accepted")
    colluders_one_in: int = Field(
        default=3, ge=1, description="every epoch must withstand ceil(sites of the roster / this) - 1 colluding sites"
    )
    modes: tuple[Literal["masks", "he"], ...] = Field(
        default=("masks", "he"),
        min_length=1,
        description="allowed ways to form a sum; with `he` alone, only the sites can open it",
    )
    epoch_days: int = Field(
        default=31, ge=1, le=3660, description="longest time for which an epoch's secrets may be kept, in days"
    )
    loss_rule: Literal["continue", "pause", "abort"] = Field(
        default="pause",
        description="most permissive loss rule accepted after a site is lost; with `pause` an officer confirms",
    )
    minimum_site_difference: int | None = Field(
        default=None,
        ge=1,
        description="minimum number of sites by which two sets of survivors for a dataset differ, unless equal or "
        "an officer approves; default: two more than may collude, or no other set at all if the terms' floors hold "
        "over all sites; 1 allows every difference",
    )
    near_answers: Literal["adjust", "refuse"] = Field(
        default="adjust",
        description="what happens to a query whose rows differ from those of an earlier answer by fewer persons than "
        "its floor: `adjust` hides the difference inside the sum, `refuse` discloses that such persons exist",
    )
    budget: Budget = Field(default=Budget(), description="number of releases per project and dataset in a period")
    schedule: tuple[Window, ...] = Field(default=(), description="when the site computes; default: always")
    outside_schedule: Literal["wait", "decline"] = Field(
        default="wait", description="what happens to a query at other times; it waits only if its deadline allows"
    )
    time_zone: str = Field(default="UTC", description="time zone of the schedule, for example Europe/Berlin")
    approve_first: bool = Field(
        default=False, description="an officer approves what a run asks before the site answers"
    )
    without_plan: Literal["ask", "answer", "refuse"] = Field(
        default="ask",
        description="what happens to the questions of a project without a study plan, which its coordinator may choose "
        "one by one: `ask` waits until an officer approves those of a run, `answer` answers, `refuse` refuses",
    )
    agree: Literal["never", "findings", "always"] = Field(
        default="findings",
        description="when `project agree` requires the plan's code: `always`, `findings` (if the review finds "
        "something) or `never`",
    )

    @field_validator("coordinators")
    @classmethod
    def _are_keys(cls, keys: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for key in keys or ():
            if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
                raise ValueError("a coordinator's key has 64 lower-case hexadecimal digits")
        return keys

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        zone(name)
        return name

    @classmethod
    def read(cls, path: Path) -> "Policy":
        """Read a policy from a TOML file.

        Raises:
            PolicyError: the file is missing, is not TOML, or has an unknown rule or a value that is not allowed.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")), strict=False)
        except FileNotFoundError:
            raise PolicyError(f"there is no policy file at {path}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PolicyError(f"{path} is not a valid TOML file: {error}") from None
        except ValidationError as error:
            raise PolicyError(f"{path}: {in_words(error, cls)}") from None

    @property
    def floors(self) -> Floors:
        """The floors against which the protocol checks a manifest."""
        return Floors(
            profile=PROFILES[self.profile],
            sites=self.minimum_sites,
            survivors=self.minimum_survivors,
            colluders_one_in=self.colluders_one_in,
        )

    def check_offer(self, offer: Offer) -> None:
        """Decide whether the site would join a project, whatever its data.

        Raises:
            RefusedError: the policy forbids it (names every such rule), or this version cannot answer.
        """
        _enforce((rule, says(self, offer)) for rule, says in OF_OFFERS.items())
        if unknown := sorted(set(offer.terms.statistics) - set(STATISTICS)):
            raise RefusedError(f"this version does not offer these statistics: {', '.join(unknown)}")
        try:
            check(offer.terms)
        except PlanError as error:
            raise RefusedError(f"the project's plan cannot be carried out: {error}") from None
        _require_installed(offer.terms)

    def check_dataset(self, terms: ProjectTerms, dataset: Description) -> None:
        """Decide whether the site's data fit a project.

        Raises:
            UnfitDatasetError: they do not.
        """
        _enforce(((rule, says(self, dataset)) for rule, says in OF_DATASETS.items()), UnfitDatasetError)
        if terms.plan is not None and dataset.rows > terms.plan.row_limit:
            raise UnfitDatasetError(f"the dataset has more rows than the plan's limit of {terms.plan.row_limit}")
        if dataset.rows < (least := least_rows(terms)):
            raise UnfitDatasetError(
                f"the plan has a model with so many parameters that a dataset needs {least} rows; it has {dataset.rows}"
            )
        if missing := sorted(set(terms.columns) - set(dataset.numeric)):
            raise UnfitDatasetError(f"the dataset lacks these numeric columns: {', '.join(missing)}")
        for defined in terms.variables:
            held = next(one for one in dataset.columns if one.name == defined.code)
            if not held.means(defined):
                raise UnfitDatasetError(
                    f"column {defined.code} is not coded as the project defines it; map it with: data map"
                )

    def check_epoch(self, asked: AskedEpoch, offer: Offer) -> None:
        """Decide whether the site joins an epoch, beyond the floors that the protocol itself enforces.

        Args:
            asked: the epoch.
            offer: the project, as it was confirmed.

        Raises:
            RefusedError: the policy forbids it (names every such rule), or the manifest contradicts the confirmed
                terms.
        """
        of_terms = ((rule, says(asked.manifest, offer.terms)) for rule, says in OF_MANIFESTS_BY_TERMS.items())
        _enforce([*((rule, says(self, asked)) for rule, says in OF_EPOCHS.items()), *of_terms])
        if asked.manifest.suite is not SUITES[offer.terms.mode]:
            raise RefusedError(
                f"the manifest's suite does not match the project's terms, whose mode is {offer.terms.mode}"
            )
        _require_installed(offer.terms)

    def check_query(self, asked: AskedQuery) -> None:
        """Decide whether the site answers a query. The policy may have changed since the site joined.

        Raises:
            RefusedError: the policy forbids it; names every such rule.
            TermsError: the query goes beyond the project's terms.
        """
        asked.offer.terms.check(asked.query)
        _enforce((rule, says(self, asked)) for rule, says in OF_QUERIES.items())

    def check_agreement(self, terms: ProjectTerms, read: str | None, *, code: str | None = None) -> None:
        """Decide whether an officer's confirmation counts, depending on the plan's code.

        Args:
            terms: terms of the project; of an amendment, together with the tasks of earlier versions.
            read: code of the plan that the officer has read (`code_of`), or None.
            code: code of the amendment, if it is one.

        Raises:
            RefusedError: the policy requires the code, which is missing or belongs to another plan.
        """
        finds = self.agree == "findings" and terms.plan is not None and bool(review(terms))
        if read != (code or code_of(terms)) and (read is not None or finds or self.agree == "always"):
            raise RefusedError(
                "read the project's plan and what its review finds first: project show; then give the code that it "
                "prints, with --plan",
                "agree",
            )

    def opens(self, now: float) -> float:
        """Return when the site may next compute, in seconds since 1970: `now` if inside the schedule."""
        return opens(self.schedule, self.time_zone, now)

    def least_difference(self, manifest: Manifest, terms: ProjectTerms) -> int:
        """Return the least number of sites by which two different sets of survivors must differ.

        Floors over all sites hold for each sum, and for no difference of two: then no other set is far enough away.
        """
        if self.minimum_site_difference is not None:
            return self.minimum_site_difference
        return NO_OTHER_SET if terms.pooled else manifest.colluders + 2


def schema() -> dict[str, Any]:
    """Return the JSON schema of a policy file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Policy.model_json_schema()}


def schema_text() -> str:
    """Return the schema's text as published."""
    return json.dumps(schema(), indent=2) + "\n"


# The rules ---------------------------------------------------------------------------------------------------------
# Each returns a description of the violation, or "".


def _project(policy: Policy, offer: Offer) -> str:
    allowed = policy.projects is None or offer.project in policy.projects
    return "" if allowed else "this project is not allowed here"


def _coordinator(policy: Policy, offer: Offer) -> str:
    allowed = policy.coordinators is None or offer.coordinator.hex() in policy.coordinators
    return "" if allowed else "this coordinator is not allowed here"


def _dataset(policy: Policy, offer: Offer) -> str:
    allowed = policy.datasets is None or offer.terms.dataset in policy.datasets
    return "" if allowed else f"dataset {offer.terms.dataset} is not released for projects here"


def _columns(policy: Policy, dataset: str, columns: Iterable[str]) -> str:
    if policy.columns is None:
        return ""
    beyond = sorted(set(columns) - set(policy.columns.get(dataset, ())))
    return f"the policy does not release these columns: {', '.join(beyond)}" if beyond else ""


def _statistics(policy: Policy, names: Iterable[str]) -> str:
    beyond = sorted(set(names) - set(policy.statistics)) if policy.statistics is not None else []
    return f"the policy does not allow these statistics: {', '.join(beyond)}" if beyond else ""


def _profile(policy: Policy, offered: Profile) -> str:
    return f"the policy requires the {policy.profile} profile" if offered < PROFILES[policy.profile] else ""


def _mode(policy: Policy, offer: Offer) -> str:
    mode = offer.terms.mode
    return "" if mode in policy.modes else f"the policy does not allow sums in mode {mode}"


def _loss_rule(policy: Policy, offered: LossRule) -> str:
    beyond = offered < LOSS_RULES[policy.loss_rule]
    return f"the policy allows at most the loss rule '{policy.loss_rule}'" if beyond else ""


def _sites(policy: Policy, sites: int) -> str:
    return (
        f"the roster has {sites} sites; the policy requires at least {policy.minimum_sites}"
        if sites < policy.minimum_sites
        else ""
    )


def _survivors(policy: Policy, manifest: Manifest) -> str:
    few = manifest.survivors < policy.minimum_survivors
    return (
        f"sums may cover only {manifest.survivors} sites; the policy requires {policy.minimum_survivors}" if few else ""
    )


def _tolerated(policy: Policy, sites: int) -> int:
    return -(-sites // policy.colluders_one_in) - 1


def _colluders(policy: Policy, manifest: Manifest, roster: int) -> str:
    """Count against the whole roster: a coordinator that picks three of ten sites has picked its colluders too."""
    least = _tolerated(policy, roster) if manifest.profile is Profile.MALICIOUS else 0
    few = manifest.colluders < least
    return f"the epoch withstands {manifest.colluders} colluders; the policy requires {least}" if few else ""


def _survivors_of_roster(policy: Policy, manifest: Manifest, roster: int) -> str:
    """Require at least two honest sites in a sum if as many of the roster collude as the policy expects."""
    least = _tolerated(policy, roster) + 2
    few = manifest.survivors < least
    return f"sums may cover only {manifest.survivors} sites; a roster of {roster} requires {least}" if few else ""


def _agreed_sites(manifest: Manifest, terms: ProjectTerms) -> str:
    sites = len(manifest.sites)
    few = sites < terms.minimum_sites
    return f"the epoch has {sites} sites; the project's terms require {terms.minimum_sites}" if few else ""


def _agreed_profile(manifest: Manifest, terms: ProjectTerms) -> str:
    weaker = manifest.profile < PROFILES[terms.profile]
    return f"the project's terms require the {terms.profile} profile" if weaker else ""


def _epoch_days(policy: Policy, asked: AskedEpoch) -> str:
    # No round's deadline is later than the end of its epoch, so this bounds the rounds as well.
    if asked.manifest.expires - asked.now <= policy.epoch_days * 86_400:
        return ""
    return f"the epoch would keep its secrets longer than the {policy.epoch_days} days that the policy allows"


def _agreed_loss_rule(manifest: Manifest, terms: ProjectTerms) -> str:
    weaker = manifest.loss_rule < LOSS_RULES[terms.loss_rule]
    return f"the project's terms require '{terms.loss_rule}' after the loss of a site" if weaker else ""


def _rows(policy: Policy, dataset: Description) -> str:
    few = dataset.rows < policy.minimum_rows
    return f"the dataset has fewer rows than this site's floor of {policy.minimum_rows}" if few else ""


def _single_persons(policy: Policy, asked: AskedQuery) -> str:
    has_floor = asked.query.minimum_persons > 1  # at each site, or over all of them: what singles out fewer is hidden
    if policy.single_persons or has_floor or not asked.bound.disclosure.singles_out:
        return ""
    return "the policy does not allow sums without a floor that can show the values of a single person"


def _persons(policy: Policy, asked: AskedQuery) -> str:
    floor = asked.query.minimum_persons
    if policy.single_persons or floor >= policy.minimum_persons:
        return ""
    return (
        f"the policy requires each site's numbers to stand for at least {policy.minimum_persons} persons; "
        f"the query's floor is {floor}"
    )


def _cell(policy: Policy, asked: AskedQuery) -> str:
    floor = asked.query.minimum_persons
    if policy.single_persons or floor >= policy.minimum_cell or not asked.bound.is_of_cells:
        return ""
    return f"the policy requires cells of at least {policy.minimum_cell} persons; the query's floor is {floor}"


def _budget(policy: Policy, asked: AskedQuery) -> str:
    budget = policy.budget
    if asked.used < budget.releases:
        return ""
    return f"all {budget.releases} releases allowed in {budget.days} days are used"


def _schedule(policy: Policy, asked: AskedQuery) -> str:
    begins = policy.opens(asked.now)
    waits = policy.outside_schedule == "wait" and begins < asked.deadline
    return (
        ""
        if begins == asked.now or waits
        else "the site's schedule does not allow computing before the round's deadline"
    )


def _without_plan(policy: Policy, offer: Offer) -> str:
    refused = offer.terms.plan is None and policy.without_plan == "refuse"
    return "the project has no study plan, and this site answers no other questions" if refused else ""


def _floor_of_plan(policy: Policy, offer: Offer, least: int) -> str:
    plan = offer.terms.plan
    if plan is None or policy.single_persons or plan.minimum_persons >= least:
        return ""
    return f"the plan's floor is {plan.minimum_persons} persons; the policy requires {least}"


OF_OFFERS: Mapping[str, Callable[[Policy, Offer], str]] = {
    "projects": _project,
    "coordinators": _coordinator,
    "datasets": _dataset,
    "columns": lambda policy, offer: _columns(policy, offer.terms.dataset, offer.terms.columns),
    "statistics": lambda policy, offer: _statistics(policy, offer.terms.statistics),
    "profile": lambda policy, offer: _profile(policy, PROFILES[offer.terms.profile]),
    "modes": _mode,
    "loss_rule": lambda policy, offer: _loss_rule(policy, LOSS_RULES[offer.terms.loss_rule]),
    "without_plan": _without_plan,
    "minimum_persons": lambda policy, offer: _floor_of_plan(policy, offer, policy.minimum_persons),
    "minimum_cell": lambda policy, offer: _floor_of_plan(policy, offer, policy.minimum_cell),
}
OF_DATASETS: Mapping[str, Callable[[Policy, Description], str]] = {"minimum_rows": _rows}
OF_EPOCHS: Mapping[str, Callable[[Policy, AskedEpoch], str]] = {
    "minimum_sites": lambda policy, asked: _sites(policy, len(asked.manifest.sites)),
    "minimum_survivors": lambda policy, asked: _survivors(policy, asked.manifest),
    "profile": lambda policy, asked: _profile(policy, asked.manifest.profile),
    "colluders_one_in": lambda policy, asked: _colluders(policy, asked.manifest, asked.roster),
    "loss_rule": lambda policy, asked: _loss_rule(policy, asked.manifest.loss_rule),
    "epoch_days": _epoch_days,
    "roster": lambda policy, asked: _survivors_of_roster(policy, asked.manifest, asked.roster),
}
OF_MANIFESTS_BY_TERMS: Mapping[str, Callable[[Manifest, ProjectTerms], str]] = {
    "terms.minimum_sites": _agreed_sites,
    "terms.profile": _agreed_profile,
    "terms.loss_rule": _agreed_loss_rule,
}
"""The confirmed terms, which no policy can loosen."""
OF_QUERIES: Mapping[str, Callable[[Policy, AskedQuery], str]] = {
    "projects": lambda policy, asked: _project(policy, asked.offer),
    "coordinators": lambda policy, asked: _coordinator(policy, asked.offer),
    "datasets": lambda policy, asked: _dataset(policy, asked.offer),
    "columns": lambda policy, asked: _columns(policy, asked.query.dataset, asked.query.needs),
    "statistics": lambda policy, asked: _statistics(policy, (asked.query.statistic,)),
    "modes": lambda policy, asked: _mode(policy, asked.offer),
    "without_plan": lambda policy, asked: _without_plan(policy, asked.offer),
    "single_persons": _single_persons,
    "minimum_persons": _persons,
    "minimum_cell": _cell,
    "budget": _budget,
    "schedule": _schedule,
}


def _enforce(said: Iterable[tuple[str, str]], error: type[RefusedError] = RefusedError) -> None:
    """Raise an error that names every broken rule."""
    broken = [(rule, words) for rule, words in said if words]
    if broken:
        raise error("; ".join(words for _, words in broken), *(rule for rule, _ in broken))


def _require_installed(terms: ProjectTerms) -> None:
    if terms.mode == "he" and not he.is_installed():
        raise RefusedError("mode `he` needs an extra that is not installed here; run: pip install 'secagg[he]'")
