"""The daemon of one site in a cohort: what it may not do yet, and what permits it. Its relay is a list.

Decisions come from a second journal on the same folder, as from a command in another process.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from participant.daemon.computation import Computation
from participant.daemon.daemon import Daemon
from participant.data.store.store import DatasetStore
from participant.policy import explain
from participant.policy.differencing import AnsweredRows, SignedSet, too_near
from participant.policy.rules import Policy
from participant.records import decisions, standing
from participant.records.decisions import Decisions
from participant.records.ledger import TABLES, Ledger
from participant.settings.config import ParticipantConfig
from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.registry import MOMENTS
from participant.statistics.language.conditions import Comparison
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.moments import MomentsParams
from participant.study.terms import ProjectTerms
from relay.api.states import SITE, RunState, SiteState
from relay.api.wire import PayloadRef
from relay.client.transport import Message, RelayError, RelayUnavailableError
from relay.party.journal import Journal
from relay.service.memory import Limits
from secagg.envelope import Frame
from secagg.errors import ParameterError
from secagg.messages import MESSAGES, Consistency, Decline, Manifest, Open, Result, Survivors, Upload
from secagg.params import LossRule, Schema, mac_lanes_for, ring_bits_for
from secagg.protocol.participant_round import AwaitConfirmation, AwaitOpen, AwaitVector
from secagg.protocol.step import Event
from secagg.protocol.table import payload_bytes
from tests.support import playbook
from tests.support.party import Parcel
from tests.support.playbook import PROJECT, RUN, Play
from tests.support.tables import import_csv

SITES = 6
QUERY = MOMENTS.query(
    MomentsParams(variables=(Variable(column="age", low=0, high=120),), row_limit=100),
    dataset="lung",
    value_bits=20,
    minimum_persons=5,
)
TERMS = ProjectTerms(purpose="a mean", dataset="lung", columns=("age",), statistics=("moments",), loss_rule="continue")
_SEGMENTS = bind(QUERY).layout.segments(QUERY.value_bits)
_BITS = max(ring_bits_for(one.bound, SITES) for one in _SEGMENTS)
SCHEMA = Schema(ring_bits=_BITS, mac_lanes=mac_lanes_for(_BITS), segments=_SEGMENTS)
run = UUID(bytes=RUN)


class RelayOfOne:
    """What a relay has for one site, and what it was sent."""

    def __init__(self) -> None:
        self.mail: list[Message] = []
        self.payloads: dict[str, bytes] = {}
        self.sent: list[Parcel] = []
        self.downloads: list[str] = []
        self.waits: list[float] = []
        self.state = RunState.RUNNING
        self.reports: list[tuple[SiteState, int, str]] = []
        self.report_errors: list[Exception] = []

    def put(self, parcel: Parcel) -> None:
        number = len(self.mail) + 1
        payload = None
        if parcel.payload:
            self.payloads[str(number)] = parcel.payload
            payload = PayloadRef(id=str(number), size=len(parcel.payload), digest=bytes(32))
        frame = parcel.frame.encode()
        self.mail.append(
            Message(
                id=number,
                run=run,
                project=UUID(bytes=PROJECT),
                sender=bytes(32),
                size=len(frame),
                frame=frame,
                payload=payload,
            )
        )

    async def messages(self, after: int = 0, wait: float = 0) -> list[Message]:
        self.waits.append(wait)
        return self.mail[after:]

    async def download(self, blob: str) -> AsyncIterator[bytes]:
        self.downloads.append(blob)
        yield self.payloads[blob]

    async def upload(self, _run: UUID, path: Path, **_facts: Any) -> str:
        self.payloads[path.name] = path.read_bytes()  # noqa: ASYNC240 - nothing else runs
        return path.name

    async def post_message(self, _run: UUID, _to: bytes | None, frame: bytes, blob: str | None, **_lease: Any) -> None:
        self.sent.append(Parcel(Frame.decode(frame), self.payloads[blob] if blob else b""))

    async def run(self, _run: UUID) -> Any:
        return SimpleNamespace(state=self.state)

    async def report(self, _run: UUID, from_: SiteState, to: SiteState, *, round_: int, reason: str) -> None:
        if self.report_errors:
            raise self.report_errors.pop(0)
        assert to in SITE[from_]
        self.reports.append((to, round_, reason))

    async def projects(self) -> list[Any]:
        return []


class Site:
    """A daemon in the place of the first party of a play."""

    def __init__(self, folder: Path, play: Play, policy: Policy, computation: Computation) -> None:
        self.folder, self.relay = folder, RelayOfOne()
        self.config = ParticipantConfig(data=folder / "data", relay="http://relay.invalid")
        self.journal = Journal(self.config.data, TABLES)
        self.journal.lock()
        self.commands = Journal(self.config.data, TABLES)  # as another process opens it
        self.ledger, self.records = Ledger(self.commands.connection), AnsweredRows(self.commands.connection)
        self.store = DatasetStore(self.config.datasets)
        table = folder / "lung.csv"
        table.write_text("age\n" + "".join(f"{40 + i}\n" for i in range(30)))
        import_csv(self.store, "lung", table)
        with self.commands.transaction():
            self.ledger.confirm(UUID(bytes=PROJECT), play.roster, TERMS.encode())
        self.policy, self.computation = policy, computation
        identity = play.parties[1].identity
        self.daemon = Daemon(self.config, identity, self.journal, self.relay, policy, computation)  # type: ignore[arg-type]

    @property
    def state(self) -> Any:
        [site_run] = self.daemon._runs.values()
        return site_run.state

    def receive(self, parcel: Parcel) -> list[Parcel]:
        self.relay.put(parcel)
        return self.reads()

    def tell(self, _event: Event) -> list[Parcel]:
        """Nothing: what a play tells its parties, a daemon finds out by itself."""
        return []

    def reads(self) -> list[Parcel]:
        return self._after(self.daemon._read_mail())

    def ticks(self) -> list[Parcel]:
        return self._after(self.daemon._tick())

    def told(self) -> list[tuple[SiteState, int, str]]:
        """What the daemon reports at the relay now."""
        before = len(self.relay.reports)
        asyncio.run(self.daemon._report())
        return self.relay.reports[before:]

    def looks_at_runs(self) -> None:
        self._after(self.daemon._invitations())

    def _after(self, work: Any) -> list[Parcel]:
        before = len(self.relay.sent)
        asyncio.run(self._settled(work))
        return self.relay.sent[before:]

    async def _settled(self, work: Any) -> None:
        """Do some work of the daemon's, and what it leaves to be computed."""
        await work
        while tasks := [task for _, task in self.daemon._contributions.values()]:
            await asyncio.wait(tasks)
            self.daemon._reap()

    def restarts(self) -> None:
        """Another process of the daemon takes the journal up."""
        old = self.daemon
        self.daemon = Daemon(
            self.config,
            old._identity,
            self.journal,
            self.relay,
            self.policy,
            self.computation,  # type: ignore[arg-type]
        )
        self.daemon._load()

    @property
    def waiting(self) -> decisions.Waiting | None:
        return Decisions(self.commands.connection).waiting_of(run)

    def decides(self, *, approved: bool, whole: bool = False) -> None:
        decisions.decide(self.commands, run, approved=approved, whole=whole)

    def entered(self) -> list[str]:
        return [entry["what"] for entry in self.ledger.entries()]


@pytest.fixture(scope="module")
def computation() -> Iterator[Computation]:
    with Computation(Limits(memory_mib=1024, minutes=1)) as computation:
        yield computation


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computation: Computation) -> Iterator[Any]:
    """A function that starts a play with a daemon in it; the daemon can answer its query, and time is now."""
    now = int(time.time())
    terms = {"SETUP_DEADLINE": now + 1000, "ROUND_DEADLINE": now + 2000, "EXPIRES": now + 10_000}
    for name, value in {**terms, "QUERY": QUERY.encode()}.items():
        monkeypatch.setattr(playbook, name, value)
    made: list[Site] = []

    def start(policy: Policy | None = None, **terms: Any) -> tuple[Play, Site]:
        play = Play(SITES, schema=SCHEMA, **{"loss_rule": LossRule.PAUSE, "slack": 1, **terms})
        play.vectors = {site: [0.0] * SCHEMA.length for site in play.vectors}
        site = Site(tmp_path, play, policy or Policy(without_plan="answer"), computation)
        play.parties[1] = site  # type: ignore[assignment]
        made.append(site)
        return play, site

    yield start
    for site in made:
        site.journal.close()
        site.commands.close()


def kinds(parcels: list[Parcel]) -> list[type]:
    return [MESSAGES[parcel.frame.kind] for parcel in parcels]


def test_a_question_that_is_allowed_is_answered_at_once(started: Any) -> None:
    play, site = started()
    play.until(Open)
    assert kinds(site.receive(play.parcel(Open))) == [Upload]
    assert site.waiting is None
    assert site.entered() == ["upload"]


def test_with_approve_first_an_officer_approves_what_he_was_shown(started: Any) -> None:
    play, site = started(Policy(without_plan="answer", approve_first=True))
    play.until(Open)
    assert site.receive(play.parcel(Open)) == []
    assert isinstance(site.state, AwaitVector)
    assert site.waiting.rules == ("approve_first",)
    assert site.ticks() == []
    shown = explain.explain(run, site.commands, site.store, site.policy)
    assert shown["waits"]["rules"] == ["approve_first"]
    assert shown["questions"][0]["columns"] == ("age",)
    assert "30 days; 0 are used" in explain.in_words(shown)

    site.restarts()
    assert site.ticks() == []
    site.decides(approved=True)
    assert kinds(site.ticks()) == [Upload]
    assert site.waiting is None
    assert site.entered() == ["approved", "upload"]
    other = QUERY.model_copy(update={"minimum_persons": 6})  # another question of this run is not approved with it
    assert Decisions(site.commands.connection).of_query(run, QUERY) is True
    assert Decisions(site.commands.connection).of_query(run, other) is None


def test_what_waits_is_shown_as_it_was_asked_last(started: Any) -> None:
    """A later epoch of a run begins with round 1 again, and may ask something else."""
    play, site = started(Policy(without_plan="answer", approve_first=True))
    play.until(Open)
    site.receive(play.parcel(Open))
    first = site.waiting
    site.daemon._wait(replace(first, words="the same in other words"))
    assert site.waiting == first
    asked = replace(first, subject=b"another question", deadline=first.deadline + 1)
    site.daemon._wait(asked)
    assert site.waiting == asked


def test_what_is_denied_is_declined(started: Any) -> None:
    play, site = started(Policy(without_plan="answer", approve_first=True))
    play.until(Open)
    site.receive(play.parcel(Open))
    site.decides(approved=False)
    [parcel] = site.ticks()
    assert kinds([parcel]) == [Decline]
    assert isinstance(site.state, AwaitOpen)
    assert site.waiting is None
    with pytest.raises(ParameterError, match="nothing of this run waits"):
        site.decides(approved=True)


def test_a_run_can_be_approved_in_advance(started: Any) -> None:
    play, site = started(Policy(without_plan="answer", approve_first=True))
    play.until(Open)
    site.decides(approved=True, whole=True)
    assert kinds(site.receive(play.parcel(Open))) == [Upload]


def test_a_question_that_nobody_approves_is_over_with_its_round(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    play, site = started(Policy(without_plan="answer", approve_first=True))
    play.until(Open)
    site.receive(play.parcel(Open))
    late = time.time() + 3000
    monkeypatch.setattr("time.time", lambda: late)
    assert site.ticks() == []
    assert isinstance(site.state, AwaitOpen)
    assert site.waiting is None
    assert site.entered() == []


def test_outside_of_its_hours_a_site_waits(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + 600
    window = {
        "begins": time.strftime("%H:%M:%S", time.gmtime(later)),
        "ends": time.strftime("%H:%M:%S", time.gmtime(later + 60)),
    }
    play, site = started(Policy.model_validate({"without_plan": "answer", "schedule": [window]}, strict=False))
    play.until(Open)
    assert site.receive(play.parcel(Open)) == []
    assert site.waiting.rules == ("schedule",)
    monkeypatch.setattr("time.time", lambda: later + 1)
    assert kinds(site.ticks()) == [Upload]


def test_a_computation_that_fails_is_declined_once_and_the_daemon_lives_on(started: Any) -> None:
    """Neither the coordinator nor a restart learns which row it was."""
    play, site = started(rounds=2)
    play.until(Open)
    data = site.config.datasets / "lung" / "1" / "data.parquet"
    whole = data.read_bytes()
    data.unlink()
    os.mkfifo(data)  # reading it ends when the process does

    async def killed() -> None:
        site.relay.put(play.parcel(Open))
        await site.daemon._read_mail()
        site.computation._process.kill()  # it has started when the epoch was joined

    [parcel] = site._after(killed())
    assert kinds([parcel]) == [Decline]
    assert isinstance(site.state, AwaitOpen)
    site.restarts()
    assert site.ticks() == []
    assert site.entered() == []
    data.unlink()
    data.write_bytes(whole)


def test_mail_is_read_while_an_answer_is_computed(started: Any) -> None:
    """Long polls go on, and so does the daemon's clock."""
    play, site = started()
    play.until(Open)
    data = site.config.datasets / "lung" / "1" / "data.parquet"
    whole = data.read_bytes()
    data.unlink()
    os.mkfifo(data)

    sent = len(site.relay.sent)

    async def work() -> None:
        site.relay.put(play.parcel(Open))
        await site.daemon._read_mail()
        polls = len(site.relay.waits)
        await site.daemon._read_mail()
        await site.daemon._tick()
        assert len(site.relay.waits) == polls + 1
        assert len(site.relay.sent) == sent
        await asyncio.to_thread(data.write_bytes, whole)

    assert kinds(site._after(work())) == [Upload]
    assert site.entered() == ["upload"]


def test_an_answer_that_nobody_awaits_any_more_is_not_computed_to_its_end(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    play, site = started()
    play.until(Open)
    data = site.config.datasets / "lung" / "1" / "data.parquet"
    data.unlink()
    os.mkfifo(data)
    late = time.time() + 3000

    async def work() -> None:
        site.relay.put(play.parcel(Open))
        await site.daemon._read_mail()
        [(_, task)] = site.daemon._contributions.values()
        monkeypatch.setattr("time.time", lambda: late)  # after the round's deadline
        await site.daemon._tick()
        await site.daemon._tick()
        await asyncio.wait([task])

    assert site._after(work()) == []
    assert isinstance(site.state, AwaitOpen)
    assert site.entered() == []


def test_a_payload_that_is_longer_than_what_is_awaited_is_not_fetched(started: Any) -> None:
    play, site = started()
    play.until(Result)
    before, parcel = site.state, play.parcel(Result)
    assert payload_bytes(before) == len(parcel.payload)
    longer = parcel._replace(payload=parcel.payload + b"x")
    site.receive(longer)
    assert site.relay.downloads == []
    assert site.journal.position == len(site.relay.mail)  # it is refused once, and not looked at again
    site.relay.put(parcel)
    number = str(len(site.relay.mail))
    site.relay.payloads[number] += b"x"  # the relay sends more than it announced
    site.reads()
    assert site.relay.downloads == [number]
    assert site.state == before
    site.receive(parcel)
    assert isinstance(site.state, AwaitOpen)


def test_the_budget_ends(started: Any) -> None:
    play, site = started(
        Policy.model_validate({"without_plan": "answer", "budget": {"releases": 1}}, strict=False), rounds=2
    )
    play.until(Result).until(Open)
    [parcel] = site.receive(play.parcel(Open))
    assert kinds([parcel]) == [Decline]
    assert site.entered() == ["upload", "survivors"]
    assert site.daemon.registry.get_sample_value("secagg_participant_refusals_total", {"rule": "budget"}) == 1


@pytest.mark.parametrize(("rule", "answer"), [("adjust", Upload), ("refuse", Decline)])
def test_a_question_about_one_patient_fewer(
    started: Any, monkeypatch: pytest.MonkeyPatch, rule: str, answer: type
) -> None:
    """It is answered with the rows of the question before, or refused by the rule's name; equal ones are answered."""
    play, site = started(Policy(without_plan="answer", near_answers=rule, single_persons=True), rounds=3)
    play.until(Result)
    fewer = QUERY.model_copy(update={"filter": (Comparison(column="age", op=">", value=40),)})
    monkeypatch.setattr(playbook, "QUERY", fewer.encode())
    play.until(Open)
    [parcel] = site.receive(play.parcel(Open))
    assert kinds([parcel]) == [answer]
    refused = site.daemon.registry.get_sample_value("secagg_participant_refusals_total", {"rule": "near_answers"})
    assert refused == (1 if answer is Decline else None)
    assert site.entered() == ["upload", "survivors", *(["upload"] if answer is Upload else [])]


def lose_one(play: Play) -> None:
    """Go on to the survivors, one site of whom is lost before its upload."""
    play.until(Open)
    play.present.discard(SITES)
    play.until(Survivors)


def test_a_smaller_set_is_signed_when_an_officer_confirms_it(started: Any) -> None:
    """Pitfall 30: with the rule `pause`, a person decides about every loss."""
    play, site = started(Policy(without_plan="answer", minimum_site_difference=1))
    lose_one(play)
    assert site.receive(play.parcel(Survivors)) == []
    assert isinstance(site.state, AwaitConfirmation)
    assert site.waiting.rules == ("loss_rule",)
    assert len(site.waiting.sites) == SITES - 1
    shown = explain.explain(run, site.commands, site.store, site.policy)
    assert shown["waits"]["missing"] == [play.plan.sites[SITES - 1].hex()]
    assert f"missing  {play.plan.sites[SITES - 1].hex()}" in explain.in_words(shown)
    site.decides(approved=True)
    assert kinds(site.ticks()) == [Consistency]
    assert site.entered() == ["upload", "approved", "survivors"]


def test_a_smaller_set_that_is_denied_is_not_signed(started: Any) -> None:
    play, site = started(Policy(without_plan="answer", minimum_site_difference=1))
    lose_one(play)
    site.receive(play.parcel(Survivors))
    assert [state for state, *_ in site.told()] == [SiteState.WAITING]
    site.decides(approved=False)
    assert site.ticks() == []
    assert isinstance(site.state, AwaitOpen)
    assert site.entered() == ["upload", "denied"]
    assert site.told() == [(SiteState.REFUSED, 1, "an officer of this site denied the request")]


def test_a_policy_that_says_abort_asks_nobody(started: Any) -> None:
    play, site = started(Policy(without_plan="answer", loss_rule="abort"), loss_rule=LossRule.ABORT)
    with site.commands.transaction():
        site.records.sign("lung", UUID(int=77), [*play.plan.sites[:5]])
        approved = decisions.subject_of_set(play.plan.sites)  # under an earlier policy, which said `pause`
        Decisions(site.commands.connection).decide(run, approved, approved=True)
    play.until(Survivors)
    assert site.receive(play.parcel(Survivors)) == []
    assert site.waiting is None
    assert isinstance(site.state, AwaitOpen)
    count = site.daemon.registry.get_sample_value
    assert count("secagg_participant_refusals_total", {"rule": "minimum_site_difference"}) == 1


def test_within_a_run_that_continues_a_smaller_set_takes_the_place_of_the_larger(started: Any) -> None:
    """Not more: the smaller one is held against other runs if it is the first of its run."""
    play, site = started(Policy(without_plan="answer", loss_rule="continue"), loss_rule=LossRule.CONTINUE, rounds=2)
    play.until(Result)
    lose_one(play)
    assert kinds(site.receive(play.parcel(Survivors))) == [Consistency]
    assert [(len(one.keys), one.retired) for one in site.records.signed_sets("lung")] == [(6, True), (5, False)]


def test_a_set_that_is_too_near_to_that_of_another_run_waits_for_an_officer(started: Any) -> None:
    """Pitfall 30 and recipe 18 over several runs: who is in a sum is public, so this refusal may show."""
    play, site = started()
    other = UUID(int=77)
    with site.commands.transaction():
        site.records.sign("lung", other, [*play.plan.sites[:5]])
    play.until(Survivors)
    assert site.receive(play.parcel(Survivors)) == []
    assert site.waiting.rules == ("minimum_site_difference",)
    assert f"one of run {other} by 1 site, at least 3" in site.waiting.words
    [(state, round_, reason)] = site.told()
    assert (state, round_) == (SiteState.WAITING, site.state.current.round)
    assert reason == (
        "minimum_site_difference: an officer must decide: its sites differ from those of an earlier sum of the dataset "
        "by 1 site, at least 3 are required"
    )  # of which run, perhaps of another project, is for this site alone
    assert site.told() == []
    site.decides(approved=True)
    assert kinds(site.ticks()) == [Consistency]
    assert site.told() == [(SiteState.READY, round_, "")]
    assert site.told() == []


def test_what_waits_is_reported_until_the_relay_has_it_and_by_the_state_that_it_knows(started: Any) -> None:
    play, site = started(Policy(without_plan="answer", approve_first=True))
    play.until(Open)
    site.receive(play.parcel(Open))
    site.relay.report_errors = [RelayUnavailableError("away")]
    with pytest.raises(RelayUnavailableError):  # the daemon's loop tries again
        site.told()
    site.relay.report_errors = [RelayError("conflict", 409, "this site is ready", state="ready")]  # an earlier process
    [(state, _, reason)] = site.told()
    assert (state, reason) == (
        SiteState.WAITING,
        "approve_first: an officer must approve the run's questions before this site answers",
    )
    site.restarts()
    assert [state for state, *_ in site.told()] == [SiteState.WAITING]
    decisions.set_pause(site.commands, paused=True)
    site.decides(approved=True)
    assert site.told() == []
    decisions.set_pause(site.commands, paused=False)
    assert kinds(site.ticks()) == [Upload]
    site.relay.report_errors = [RelayError("conflict", 409, "the run is over")]
    assert site.told() == []
    assert site.told() == []


def test_a_standing_approval_signs_a_set_that_lacks_one_site_and_the_set_permits_no_other_run(started: Any) -> None:
    play, site = started()
    standing.grant(site.commands, "lung", play.plan.sites[SITES - 1], times=1, days=30)
    with site.commands.transaction():
        site.records.sign("lung", UUID(int=77), play.plan.sites)
    lose_one(play)
    assert kinds(site.receive(play.parcel(Survivors))) == [Consistency]
    assert site.waiting is None
    assert site.ledger.entries()[-1]["standing"] == 1
    [_, smaller] = site.records.signed_sets("lung")
    assert smaller.provisional
    assert too_near(smaller.keys, site.records.signed_sets("lung"), least=3) == [
        SignedSet(frozenset(play.plan.sites), UUID(int=77), retired=False)
    ]
    shown = explain.explain(run, site.commands, site.store, site.policy)
    assert [one["used"] for one in shown["standing"]] == [1]
    assert "tells the totals of the missing site, never a person's values" in explain.in_words(shown)
    with site.commands.transaction():  # an officer approves it, in another run
        site.records.sign("lung", UUID(int=78), smaller.keys)
    assert too_near(smaller.keys, site.records.signed_sets("lung"), least=3) == []


def test_a_set_that_lost_a_site_waits_by_that_reason(started: Any) -> None:
    play, site = started()
    with site.commands.transaction():
        site.records.sign("lung", UUID(int=77), play.plan.sites)
        site.records.sign("lung", UUID(int=77), play.plan.sites[:5], instead_of=play.plan.sites)
    play.until(Survivors)
    assert site.receive(play.parcel(Survivors)) == []
    assert site.waiting.rules == ("minimum_site_difference",)
    assert f"run {UUID(int=77)} replaced this very set by a smaller one after a loss" in site.waiting.words


def test_the_same_set_is_signed_again_in_other_runs(started: Any) -> None:
    play, site = started()
    with site.commands.transaction():
        site.records.sign("lung", UUID(int=77), play.plan.sites)
        site.records.sign("heart", UUID(int=78), play.plan.sites[:5])  # another dataset
    play.until(Survivors)
    assert kinds(site.receive(play.parcel(Survivors))) == [Consistency]


def test_a_site_that_pauses_is_silent(started: Any) -> None:
    play, site = started()
    play.until(Open)
    decisions.set_pause(site.commands, paused=True)
    assert site.receive(play.parcel(Open)) == []
    assert site.ticks() == []
    assert site.journal.position < len(site.relay.mail)  # unread
    decisions.set_pause(site.commands, paused=True)
    decisions.set_pause(site.commands, paused=False)
    assert kinds(site.reads()) == [Upload]
    assert site.entered() == ["paused", "resumed", "upload"]


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED, RunState.COMPLETED])
def test_a_run_that_ended_at_the_relay_leaves_nothing_behind(started: Any, state: RunState) -> None:
    play, site = started(Policy(without_plan="answer", approve_first=True))
    play.until(Open)
    site.receive(play.parcel(Open))
    site.looks_at_runs()
    assert site.journal.machines() != []
    site.relay.state = state
    site.looks_at_runs()
    assert site.journal.machines() != []  # frames that were sent before may still be on their way
    site.reads()
    assert site.relay.waits[-2:] == [site.config.poll_s, 0]  # the next run's mail does not keep this one's secrets
    assert site.journal.machines() == []
    assert site.waiting is None
    assert site.ledger.joined() == [(run, UUID(bytes=PROJECT), state.value)]
    assert not list((site.config.data / "keys").iterdir())


def test_logs_of_runs_expire_while_the_daemon_works(started: Any) -> None:
    _, site = started()
    old = site.config.data / "logs" / f"{run}.jsonl"
    old.parent.mkdir()
    old.write_text("{}\n")
    os.utime(old, (0, 0))

    async def work() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, stop.set)
        await site.daemon.run(stop)

    asyncio.run(work())
    assert not old.exists()


def test_the_sum_of_a_run_that_ended_is_still_read(started: Any) -> None:
    play, site = started()
    play.until(Result)
    site.relay.state = RunState.COMPLETED
    site.looks_at_runs()
    site.receive(play.parcel(Result))
    assert len(site.ledger.results()) == 1
    site.reads()
    assert site.journal.machines() == []


def test_a_manifest_below_a_floor_is_refused_by_the_rule_s_name(started: Any) -> None:
    play, site = started(Policy(without_plan="answer", minimum_sites=SITES + 1))
    assert site.receive(play.parcel(Manifest)) == []
    refused = (SiteState.REFUSED, 0, "minimum_sites: the roster has 6 sites; the policy requires at least 7")
    assert site.told() == [refused]
    assert site.told() == []
    assert site.journal.machines() == []
    count = site.daemon.registry.get_sample_value
    assert count("secagg_participant_refusals_total", {"rule": "minimum_sites"}) == 1
