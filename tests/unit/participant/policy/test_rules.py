"""Every rule of a policy's schema, with a request that breaks it; and any two of them, broken together.

A request is everything that a coordinator can ask of a site, from the invitation to the set of survivors. A compliant
request, or the policy, is changed just enough to break the rule; the refusal in each step must then name the rule.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from participant.daemon.epoch import RunContext
from participant.daemon.release_control import ReleaseControl
from participant.data.model.description import Description
from participant.data.store.store import DatasetStore
from participant.policy.answer import Answer
from participant.policy.differencing import AnsweredRows
from participant.policy.rules import OF_QUERIES, AskedEpoch, Offer, Policy, RefusedError, schema
from participant.records.decisions import Decisions
from participant.records.ledger import TABLES, Ledger
from participant.records.standing import StandingApprovals
from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.registry import CLASS_MOMENTS, CONTINGENCY
from participant.statistics.language.query import Query
from participant.statistics.models.design import Category, Numeric
from participant.statistics.vocabulary.class_moments import ClassMomentsParams
from participant.statistics.vocabulary.contingency import ContingencyParams
from participant.study.plan import read_plan
from participant.study.review import code_of, review
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from secagg.identity import Identity, Roster
from secagg.messages import Manifest
from secagg.params import LossRule, Profile
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.participant_round import AwaitConfirmation, AwaitVector
from secagg.protocol.step import Send, StepInputs
from tests.support.tables import import_csv

PROJECT, RUN, EARLIER = UUID(int=1), UUID(int=2), UUID(int=3)
HEAD, *SITES = (Identity(bytes([number]) * 32) for number in range(1, 7))
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC).timestamp()  # a Wednesday
STATUS = Category(column="status", levels=(0.0, 1.0))
UNPLANNED = ProjectTerms(
    purpose="p",
    dataset="lung",
    columns=("age", "status"),
    statistics=("class-moments", "contingency"),
    loss_rule="pause",
)


def planned(floor: int) -> ProjectTerms:
    """Terms with a plan of one task, in which the review finds nothing where the floor is 5."""
    levels = [0, 1]
    task = {
        "name": "table",
        "analysis": "chi-square",
        "row": {"column": "status", "levels": levels},
        "column": {"column": "age", "levels": levels},
    }
    plan = read_plan({"minimum_persons": floor, "row_limit": 100, "tasks": [task]}, UNPLANNED.dataset)
    return UNPLANNED.model_copy(update={"plan": plan})


TERMS = planned(5)
TABLE = CONTINGENCY.query(
    ContingencyParams(by=(STATUS,), row_limit=100), dataset="lung", value_bits=40, minimum_persons=5
)
ONE_PERSON = CLASS_MOMENTS.query(
    ClassMomentsParams(by=(STATUS,), variables=(Numeric(column="age", low=0, high=120),), dominance=0.9, row_limit=100),
    dataset="lung",
    value_bits=40,
)


def offered() -> Manifest:
    roster = Roster.of(PROJECT.bytes, TERMS.encode(), HEAD.public, [one.public for one in SITES])
    plan = Plan(
        roster=roster,
        sites=roster.sites,
        run=RUN.bytes,
        rounds=1,
        setup_deadline=9,
        expires=int(NOW) + 86_400,
        loss_rule=LossRule.PAUSE,
    )
    [send] = announce(plan, StepInputs(identity=HEAD, rand=bytes(32))).effects
    return Manifest.decode(cast(Send, send).frame.body)


@dataclass(frozen=True)
class Request:
    """What a coordinator asks. All sites survive; an earlier run had other ones, or none.

    `is_read`: the officer read the plan.
    `moved`: persons by whom the rows of the answer differ from those that were asked for.
    """

    terms: ProjectTerms = TERMS
    manifest: Manifest = field(default_factory=offered)
    query: Query = TABLE
    deadline: int = int(NOW) + 3600
    earlier: tuple[Identity, ...] = ()
    moved: int = 0
    is_read: bool = True


@dataclass(frozen=True)
class Row:
    """How a rule is broken: changes of the policy and of the request, and the rule that is named."""

    rule: str
    policy: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)


NIGHT = {"begins": "22:00:00", "ends": "06:00:00"}
ROWS: dict[str, Row] = {
    "projects": Row("projects", {"projects": [str(UUID(int=9))]}),
    "coordinators": Row("coordinators", {"coordinators": ["ab" * 32]}),
    "datasets": Row("datasets", {"datasets": ["heart"]}),
    "columns": Row("columns", {"columns": {"lung": ["age", "sex"]}}),
    "statistics": Row("statistics", {"statistics": ["counts"]}),
    "minimum_rows": Row("minimum_rows", {"minimum_rows": 13}),
    "minimum_sites": Row("minimum_sites", {"minimum_sites": 6}),
    "minimum_survivors": Row("minimum_survivors", {"minimum_survivors": 5}),
    "minimum_persons": Row("minimum_persons", {"minimum_persons": 6}),
    "minimum_cell": Row("minimum_cell", {"minimum_cell": 6}),
    "single_persons": Row("single_persons", {"minimum_persons": 1, "minimum_cell": 1}, {"query": ONE_PERSON}),
    "profile": Row("profile", {}, {"terms": TERMS.model_copy(update={"profile": "semi-honest"})}),
    "colluders_one_in": Row("colluders_one_in", {"colluders_one_in": 2}),
    "epoch_days": Row("epoch_days", {}, {"manifest": replace(offered(), expires=int(NOW) + 32 * 86_400)}),
    "modes": Row("modes", {"modes": ["he"]}),
    "loss_rule": Row("loss_rule", {"loss_rule": "abort"}),
    "minimum_site_difference": Row("minimum_site_difference", {"minimum_site_difference": 4}, {"earlier": SITES[:3]}),
    "near_answers": Row("near_answers", {"near_answers": "refuse"}, {"moved": 2}),
    "budget.releases": Row("budget", {"budget": {"releases": 2}}),
    "budget.days": Row("budget", {"budget": {"releases": 3, "days": 60}}),
    "schedule.days": Row("schedule", {"schedule": [{"days": ["sat", "sun"]}]}),
    "schedule.begins": Row("schedule", {"schedule": [{"begins": "12:00:01", "ends": "13:00:00"}]}),
    "schedule.ends": Row("schedule", {"schedule": [{"begins": "06:00:00", "ends": "12:00:00"}]}),
    "outside_schedule": Row(
        "schedule", {"schedule": [NIGHT], "outside_schedule": "decline"}, {"deadline": int(NOW) + 86_400}
    ),
    "time_zone": Row("schedule", {"schedule": [{"begins": "11:00:00", "ends": "13:00:00"}], "time_zone": "Asia/Tokyo"}),
    "approve_first": Row("approve_first", {"approve_first": True}),
    "without_plan": Row("without_plan", {"without_plan": "refuse"}, {"terms": UNPLANNED}),
    "agree": Row("agree", {"agree": "always"}, {"is_read": False}),
}
WAITS = {"approve_first", "schedule.begins"}  # the others refuse
RESERVED = {"budget.epsilon", "budget.delta"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Description:
    """Twelve rows of a dataset."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "lung.csv").write_text("age,status\n" + "".join(f"{50 + i},{i % 2}\n" for i in range(12)))
    store = DatasetStore(folder / "datasets")
    import_csv(store, "lung", folder / "lung.csv")
    return store.describe("lung")


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    """Two releases an hour ago, and one 40 days ago."""
    made = Journal(tmp_path_factory.mktemp("party"), TABLES)
    with made.transaction() as batch:
        for at in (NOW - 40 * 86_400, NOW - 3600, NOW - 3600):
            entry = {"what": "upload", "at": at, "project": str(PROJECT), "query": {"dataset": "lung"}}
            Ledger(batch.connection).enter(entry)
    yield made
    made.close()


def refusals(policy: Policy, request: Request, dataset: Description, journal: Journal) -> set[str]:
    """The rules that are named on the way from the invitation to the survivors."""
    offer = Offer(PROJECT, HEAD.public, request.terms)
    place = RunContext(RUN, PROJECT, HEAD.public, request.terms, len(SITES))
    with journal.transaction() as batch:
        batch.connection.execute("DELETE FROM signed_set")
        if request.earlier:
            AnsweredRows(batch.connection).sign("lung", EARLIER, [one.public for one in request.earlier])
    connection = journal.connection
    gate = ReleaseControl(
        policy,
        Ledger(connection),
        AnsweredRows(connection),
        Decisions(connection),
        StandingApprovals(connection),
    )
    asked = SimpleNamespace(current=SimpleNamespace(round=1, deadline=request.deadline))
    members = tuple(range(1, len(SITES) + 1))
    proposed = SimpleNamespace(
        membership=SimpleNamespace(manifest=request.manifest),
        current=asked.current,
        idle=SimpleNamespace(survivors=members),
        survivors=members,
    )
    named: set[str] = set()
    for step in (
        lambda: policy.check_offer(offer),
        lambda: policy.check_dataset(offer.terms, dataset),
        lambda: policy.check_agreement(request.terms, code_of(request.terms) if request.is_read else None),
        lambda: policy.check_epoch(AskedEpoch(request.manifest, len(SITES), NOW), offer),
        lambda: gate.query(bind(request.query), place, cast(AwaitVector, asked), NOW, None),
        lambda: gate.answer(cast(Answer, SimpleNamespace(moved=request.moved))),
        lambda: gate.survivors(place, cast(AwaitConfirmation, proposed)),
    ):
        try:
            named |= set(getattr(step(), "rules", ()))  # of what waits
        except RefusedError as refusal:
            named |= set(str(refusal).partition(":")[0].split(", "))
    return named


def broken(*rows: Row) -> tuple[Policy, Request]:
    policy, request = {}, {}
    for row in rows:
        policy |= row.policy
        request |= row.request
    return Policy.model_validate(policy, strict=False), replace(Request(), **request)


def test_every_rule_of_the_schema_has_a_row() -> None:
    """A new rule comes with the request that it refuses."""
    told = schema()
    inner = {"budget": told["$defs"]["Budget"], "schedule": told["$defs"]["Window"]}
    keys = {rule for rule in told["properties"] if rule not in inner}
    keys |= {f"{rule}.{key}" for rule, defined in inner.items() for key in defined["properties"]}
    assert set(ROWS) == keys - RESERVED


def test_the_request_that_breaks_nothing(dataset: Description, journal: Journal) -> None:
    assert refusals(Policy(), Request(), dataset, journal) == set()


@pytest.mark.parametrize("key", ROWS)
def test_a_rule_that_is_broken_is_named_and_no_other(key: str, dataset: Description, journal: Journal) -> None:
    policy, request = broken(ROWS[key])
    assert refusals(policy, request, dataset, journal) == {ROWS[key].rule}


def test_of_two_rules_that_are_broken_both_are_named(dataset: Description, journal: Journal) -> None:
    """All pairs that do not set the same rule to different values; a query that is refused waits for nothing."""
    tried = 0
    for one, other in combinations(ROWS, 2):
        rows = ROWS[one], ROWS[other]
        if set(rows[0].policy) & set(rows[1].policy) or set(rows[0].request) & set(rows[1].request):
            continue
        refused = any(row.rule in OF_QUERIES for key, row in ROWS.items() if key in {one, other} - WAITS)
        expected = {ROWS[key].rule for key in (one, other) if not (refused and key in WAITS)}
        assert refusals(*broken(*rows), dataset, journal) == expected, (one, other)
        tried += 1
    assert tried > 200


@pytest.mark.parametrize("reserved", sorted(RESERVED))
def test_what_is_reserved_for_differential_privacy_cannot_be_set(reserved: str) -> None:
    rule, name = reserved.split(".")
    with pytest.raises(ValueError, match=name):
        Policy.model_validate({rule: {name: 0.5}}, strict=False)


def test_a_manifest_is_held_to_the_profile_and_loss_rule_too() -> None:
    offer = Offer(PROJECT, HEAD.public, TERMS)
    lax = replace(offered(), profile=Profile.SEMI_HONEST, loss_rule=LossRule.CONTINUE)
    with pytest.raises(RefusedError) as refusal:
        Policy().check_epoch(AskedEpoch(lax, len(SITES), NOW), offer)
    assert refusal.value.rules == ("profile", "loss_rule", "terms.profile", "terms.loss_rule")
    agreed = replace(offer, terms=TERMS.model_copy(update={"profile": "semi-honest", "loss_rule": "continue"}))
    Policy(profile="semi-honest", loss_rule="continue").check_epoch(AskedEpoch(lax, len(SITES), NOW), agreed)


def test_a_project_without_a_plan_waits_for_an_officer_by_default(dataset: Description, journal: Journal) -> None:
    request = Request(terms=UNPLANNED)
    assert refusals(Policy(), request, dataset, journal) == {"without_plan"}
    assert refusals(Policy(without_plan="answer"), request, dataset, journal) == set()


def test_a_plan_below_the_floors_of_the_policy_is_refused_by_name() -> None:
    offer = Offer(PROJECT, HEAD.public, planned(4))
    with pytest.raises(RefusedError) as refusal:
        Policy(minimum_cell=6).check_offer(offer)
    assert refusal.value.rules == ("minimum_persons", "minimum_cell")
    Policy(minimum_persons=4, minimum_cell=4).check_offer(offer)
    Policy(single_persons=True).check_offer(offer)


@pytest.mark.parametrize(("agree", "asked"), [("never", False), ("findings", True), ("always", True)])
def test_who_agrees_to_a_plan_with_findings_says_which_one_he_read(agree: str, *, asked: bool) -> None:
    policy = Policy.model_validate({"agree": agree})
    terms = planned(2)
    assert review(terms)
    policy.check_agreement(terms, code_of(terms))
    if asked:
        with pytest.raises(RefusedError, match=r"agree: .*project show"):
            policy.check_agreement(terms, None)
    else:
        policy.check_agreement(terms, None)
    with pytest.raises(RefusedError, match="agree"):
        policy.check_agreement(terms, code_of(TERMS))


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({}, ()),
        ({"sites": 4}, ("terms.minimum_sites",)),
        ({"colluders": 2}, ("colluders_one_in",)),
        ({"survivors": 4}, ("roster",)),
    ],
)
def test_a_manifest_counts_against_terms_and_the_whole_roster(change: dict[str, int], rules: tuple[str, ...]) -> None:
    """A roster of ten bears three colluders, and with these a sum of four sites is one site's."""
    offer = Offer(PROJECT, HEAD.public, TERMS.model_copy(update={"minimum_sites": 5}))
    manifest = replace(offered(), colluders=3, survivors=5)
    manifest = replace(manifest, **({"sites": manifest.sites[: change["sites"]]} if "sites" in change else change))
    if not rules:
        Policy().check_epoch(AskedEpoch(manifest, 10, NOW), offer)
        return
    with pytest.raises(RefusedError) as refusal:
        Policy().check_epoch(AskedEpoch(manifest, 10, NOW), offer)
    assert refusal.value.rules == rules


def test_a_policy_file_may_say_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        'time_zone = "Europe/Berlin"\napprove_first = true\n[columns]\nlung = ["age"]\n[budget]\nreleases = 5\n'
        '[[schedule]]\ndays = ["sat", "sun"]\n[[schedule]]\nbegins = 20:00:00\nends = "06:00:00"\n'
    )
    policy = Policy.read(path)
    assert policy.columns == {"lung": ("age",)}
    assert [str(one.begins) for one in policy.schedule] == ["00:00:00", "20:00:00"]


def test_with_floors_over_all_sites_no_other_set_is_far_enough(dataset: Description, journal: Journal) -> None:
    """Each sum has a floor, and their difference has none, however many sites it covers."""
    far = replace(Request(), earlier=(SITES[0],))
    pooled = TERMS.model_copy(update={"mode": "he", "publish": True, "floors": "pooled"})
    request = replace(far, terms=pooled, query=TABLE.model_copy(update={"pooled": True}))
    named = refusals(Policy(), request, dataset, journal)
    assert "minimum_site_difference" not in refusals(Policy(), far, dataset, journal)
    assert "minimum_site_difference" in named
    same = replace(request, earlier=SITES)
    assert "minimum_site_difference" not in refusals(Policy(), same, dataset, journal)
    first = replace(request, earlier=())
    assert "minimum_site_difference" not in refusals(Policy(), first, dataset, journal)
