"""A site's policy: which projects it joins, what it answers, and that its decisions rest on public grounds.

Rule by rule, alone and in combination: `test_policy_rules`.
"""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from participant.data.store.store import DatasetStore
from participant.policy.rules import SCHEMA, AskedQuery, Offer, Policy, PolicyError, RefusedError, schema_text
from participant.projects.invitations import Invitations, decide
from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.registry import COX_RISK_SETS, MOMENTS, STATISTICS
from participant.statistics.language.conditions import Comparison
from participant.statistics.language.query import Query
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.outcome import Grid, Outcome
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.cox_risk_sets import CoxRiskSetsParams
from participant.statistics.vocabulary.moments import MomentsParams
from participant.study.terms import ProjectTerms, TermsError
from relay.api.states import MemberState, ProjectState
from relay.client.transport import RelayProject
from secagg import he
from secagg.params import Profile
from tests.support.tables import import_csv

TERMS = {
    "purpose": "survival",
    "dataset": "lung",
    "columns": ("age", "status", "time"),
    "statistics": ("cox-risk-sets", "moments"),
    "profile": "malicious",
    "loss_rule": "pause",
    "minimum_sites": 3,
}
ROWS = 12
PROJECT, COORDINATOR = UUID(int=1), bytes(32)


def terms(**changes: object) -> ProjectTerms:
    return ProjectTerms.model_validate({**TERMS, **changes})


def offer(**changes: object) -> Offer:
    return Offer(PROJECT, COORDINATOR, terms(**changes))


def asked(query: Query, of: Offer) -> AskedQuery:
    return AskedQuery(bind(query), of, used=0, now=0, deadline=60)


def project(data: bytes | None = None, **changes: object) -> RelayProject:
    """A project as the relay shows it."""
    told = terms(**changes).encode() if data is None else data
    state = ProjectState.OPEN
    return RelayProject(id=PROJECT, name="p", coordinator=COORDINATOR, terms=told, state=state, roster=None, members=[])


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    table = tmp_path / "lung.csv"
    table.write_text("time,status,age,ward\n" + "".join(f"{10 + i},{i % 2},{50 + i},north\n" for i in range(ROWS)))
    made = DatasetStore(tmp_path / "datasets")
    import_csv(made, "lung", table)
    return made


@pytest.fixture
def moments() -> Query:
    params = MomentsParams(variables=(Variable(column="age", low=0, high=120),), row_limit=100)
    return MOMENTS.query(params, dataset="lung", value_bits=40, minimum_persons=5)


@pytest.fixture
def risk_sets() -> Query:
    """A query in which one patient can show: single weeks."""
    outcome = Outcome(time="time", event="status", grid=Grid(width=7, count=10))
    params = CoxRiskSetsParams(
        outcome=outcome,
        design=Design(terms=((Numeric(column="age", low=0, high=120, centre=60.0, scale=10.0),),)),
        strata=(),
        beta=(0.0,),
        at=(1, 2),
        tied=(),
        trend=(),
        event_ends=(),
        censored_ends=(),
        log_weight_limit=1.0,
        row_limit=100,
    )
    return COX_RISK_SETS.query(params, dataset="lung", value_bits=40)


def test_the_defaults_join_an_honest_project(store: DatasetStore) -> None:
    assert decide(project(), store, Policy()) == (MemberState.JOINED, "")


@pytest.mark.parametrize(
    ("policy", "changes", "reason"),
    [
        ({"datasets": ("heart",)}, {}, "dataset lung is not released"),
        ({"statistics": ("moments",)}, {}, "does not allow these statistics: cox-risk-sets"),
        ({}, {"profile": "semi-honest"}, "requires the malicious profile"),
        ({}, {"loss_rule": "continue"}, "at most the loss rule 'pause'"),
        ({"loss_rule": "abort"}, {"loss_rule": "pause"}, "at most the loss rule 'abort'"),
        ({"modes": ("masks",)}, {"mode": "he"}, "does not allow sums in mode he"),
        ({"modes": ("he",)}, {}, "does not allow sums in mode masks"),
        ({}, {"statistics": ("mind-reading", "moments")}, "does not offer these statistics: mind-reading"),
    ],
)
def test_each_rule_declines_visibly(
    store: DatasetStore, policy: dict[str, object], changes: dict[str, object], reason: str
) -> None:
    state, said = decide(project(**changes), store, Policy.model_validate(policy))
    assert state is MemberState.DECLINED
    assert reason in said


@pytest.mark.parametrize(
    ("policy", "changes", "reason"),
    [
        ({"minimum_rows": ROWS + 1}, {}, f"fewer rows than this site's floor of {ROWS + 1}"),
        ({}, {"columns": ("age", "sex", "time")}, "lacks these numeric columns: sex"),
        ({}, {"columns": ("age", "ward")}, "lacks these numeric columns: ward"),
        ({}, {"dataset": "heart"}, "heart"),
    ],
)
async def test_what_a_site_lacks_is_told_to_nobody(
    store: DatasetStore, policy: dict[str, object], changes: dict[str, object], reason: str
) -> None:
    """It stays invited until an officer has seen to the data; the log says once what is missing."""
    invited = project(**changes)
    state, said = decide(invited, store, Policy.model_validate(policy))
    assert state is MemberState.INVITED
    assert reason in said
    relay = AsyncMock()
    relay.projects.return_value = [SimpleNamespace(id=invited.id, membership=MemberState.INVITED)]
    relay.project.return_value = invited
    invitations = Invitations(relay, store, Policy.model_validate(policy))
    with capture_logs() as lines:
        await invitations.answer()
        await invitations.answer()
    relay.answer.assert_not_called()
    assert [line["reason"] for line in lines if line["event"] == "invitation-waits"] == [said]


def test_what_the_policy_makes_of_the_terms_comes_first(store: DatasetStore) -> None:
    state, said = decide(project(profile="semi-honest", columns=("age", "ward")), store, Policy())
    assert state is MemberState.DECLINED
    assert "ward" not in said


def test_terms_that_are_no_terms_are_declined(store: DatasetStore) -> None:
    state, said = decide(project(b'{"purpose": "x"}'), store, Policy())
    assert state is MemberState.DECLINED
    assert "not the terms of a project" in said


def test_exactly_as_many_rows_as_the_floor_are_enough(store: DatasetStore) -> None:
    assert decide(project(), store, Policy(minimum_rows=ROWS))[0] is MemberState.JOINED


def test_queries_within_the_terms_are_answered(moments: Query, risk_sets: Query) -> None:
    Policy().check_query(asked(moments, offer()))
    Policy(single_persons=True).check_query(asked(risk_sets, offer()))


def test_a_decision_is_the_same_whatever_the_rows_hold(store: DatasetStore, tmp_path: Path, moments: Query) -> None:
    """Pitfall 31: a site that declined because of a small cell would tell that the cell is small."""
    table = tmp_path / "other.csv"
    table.write_text("time,status,age,ward\n" + "10,0,90,north\n" * ROWS)  # no event, and nobody under 90
    other = DatasetStore(tmp_path / "others")
    import_csv(other, "lung", table)
    for policy in (Policy(), Policy(minimum_rows=ROWS + 1)):
        assert decide(project(), store, policy) == decide(project(), other, policy)
    narrow = moments.model_copy(update={"filter": (Comparison(column="status", op="==", value=1.0),)})
    for answered in (store, other):
        assert evaluate(bind(narrow), answered.load("lung", narrow.needs)).shape == (6,)


def test_a_sum_that_can_show_one_person_needs_the_site_s_consent(risk_sets: Query) -> None:
    """Pitfall 11, recipe 18."""
    with pytest.raises(RefusedError, match="the values of a single person"):
        Policy().check_query(asked(risk_sets, offer()))


def test_a_query_says_a_floor_that_is_high_enough(moments: Query) -> None:
    low = moments.model_copy(update={"minimum_persons": 4})
    with pytest.raises(RefusedError, match="at least 5 persons; the query's floor is 4"):
        Policy().check_query(asked(low, offer()))
    Policy(minimum_persons=4).check_query(asked(low, offer()))
    Policy(single_persons=True).check_query(asked(low, offer()))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset": "heart"}, "covers dataset heart"),
        ({"statistics": ("counts",)}, "do not include the statistic moments"),
        ({"columns": ("time",)}, "do not include the columns age"),
    ],
)
def test_a_query_beyond_the_terms_is_refused(moments: Query, changes: dict[str, object], reason: str) -> None:
    """Pitfall 12."""
    with pytest.raises(TermsError, match=reason):
        Policy().check_query(asked(moments, offer(**changes)))


def test_the_floors_are_what_the_protocol_checks() -> None:
    floors = Policy(minimum_sites=5, minimum_survivors=4, profile="semi-honest", colluders_one_in=4).floors
    assert (floors.sites, floors.survivors, floors.profile, floors.colluders_one_in) == (5, 4, Profile.SEMI_HONEST, 4)


def test_homomorphic_sums_are_joined_where_the_extra_is_installed(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert decide(project(mode="he"), store, Policy()) == (MemberState.JOINED, "")
    monkeypatch.setattr(he, "find_spec", {"tenseal": None, "zstandard": object()}.get)
    state, said = decide(project(mode="he"), store, Policy())
    assert state is MemberState.DECLINED
    assert "not installed here; run: pip install 'secagg[he]'" in said
    assert decide(project(), store, Policy()) == (MemberState.JOINED, "")


def test_the_published_schema_is_that_of_the_model() -> None:
    """`secagg-participant policy schema > participant/policy/policy.schema.json` makes it anew."""
    assert SCHEMA.read_text() == schema_text()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("minimum_rows = 0", "minimum_rows"),
        ("minimum_row = 5", "minimum_row"),
        ('loss_rule = "whatever"', "loss_rule"),
        ("minimum_sites = 2", "minimum_sites"),
        ('coordinators = ["north"]', "64 lower-case"),
        ('projects = ["lung"]', "projects"),
        ('time_zone = "Atlantis/Capital"', "unknown time zone"),
        ("[[schedule]]\ndays = []", "schedule.0.days"),
        ("[budget]\nepsilon = 1.0", "budget.epsilon"),
        ("[budget]\ndelta = 1e-6", "budget.delta"),
        ("not toml", "not a valid TOML"),
    ],
)
def test_a_wrong_policy_file_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=complaint):
        Policy.read(path)


def test_a_missing_policy_file_is_an_error_and_not_the_defaults(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no policy file at"):
        Policy.read(tmp_path / "policy.toml")


def test_terms_have_one_encoding() -> None:
    data = terms().encode()
    assert ProjectTerms.decode(data) == terms()
    for changed in (data + b" ", data.replace(b'"age"', b' "age"'), data.replace(b'"age","status"', b'"status","age"')):
        with pytest.raises(TermsError):
            ProjectTerms.decode(changed)
    with pytest.raises(TermsError, match="at most"):
        ProjectTerms.decode(b" " * (1 << 17))


def test_terms_from_before_there_was_a_mode_mean_masks() -> None:
    data = terms().encode()
    assert b"mode" not in data
    assert b"publish" not in data
    found = ProjectTerms.decode(data)
    assert (found.mode, found.publish, found.coordinator_learns) == ("masks", False, True)
    with pytest.raises(TermsError, match="canonical"):  # one meaning, one encoding
        ProjectTerms.decode(data.replace(b'"profile"', b'"mode":"masks","profile"'))


def test_terms_say_who_learns_a_homomorphic_sum() -> None:
    for publish in (False, True):
        said = terms(mode="he", publish=publish)
        assert ProjectTerms.decode(said.encode()) == said
        assert said.coordinator_learns is publish
    with pytest.raises(ValueError, match="publish applies only to mode he"):
        terms(publish=True)
    with pytest.raises(ValueError, match="at most 256 sites"):
        terms(mode="he", minimum_sites=257)


def test_the_vocabulary_covers_the_example() -> None:
    assert set(TERMS["statistics"]) <= set(STATISTICS)
