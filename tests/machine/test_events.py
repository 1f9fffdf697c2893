"""Local events that a driver sends wrongly or too early: a named error, and an unchanged state."""

from dataclasses import replace

import pytest

from secagg.errors import (
    FaultyCoordinatorError,
    HeadroomError,
    NotEnoughParticipantsError,
    ParameterError,
    StateError,
)
from secagg.identity import Identity
from secagg.messages import (
    Cohort,
    Consistency,
    Encapsulations,
    Join,
    Manifest,
    Open,
    PrekeyList,
    Prekeys,
    Ready,
    Receipt,
    Result,
    Shares,
    Unmask,
    Upload,
)
from secagg.params import Beyond, Floors, LossRule, Profile
from secagg.protocol import coordinator_round as cr
from secagg.protocol import coordinator_setup as cs
from secagg.protocol import participant_round as pr
from secagg.protocol.coordinator_setup import announce, mutual_members
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import (
    Abandon,
    Ask,
    Close,
    Contribute,
    DeclineRound,
    Learned,
    Publish,
    Send,
    StepInputs,
    Tick,
    signed,
)
from secagg.quantize import BeyondClipError
from tests.support.dealing import dealt, slot_of
from tests.support.playbook import QUERY, ROUND_DEADLINE, SCHEMA, Play, at

SETUP = [Join, Prekeys, Encapsulations, Shares, Receipt]


def prepared(**options) -> Play:
    """Return a play whose coordinator has finished the setup and asked nothing yet."""
    return at(Ready, **options)


# The coordinator closes a step -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*SETUP, Upload, Consistency, Unmask])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_frames_to_close_a_step(kind, count):
    play = at(kind, n=4)
    for site in range(1, 1 + count):
        play.parties[0].receive(play.parcel(kind, site))
    play.denies(0, Close(), NotEnoughParticipantsError)


@pytest.mark.parametrize("kind", SETUP)
def test_the_slack_is_kept_to_the_end_of_the_setup(kind):
    play = at(kind, n=4, slack=1)
    for site in (1, 2, 3):
        play.parties[0].receive(play.parcel(kind, site))
    play.denies(0, Close(), NotEnoughParticipantsError)


@pytest.mark.parametrize("kind", [*SETUP, Upload, Consistency, Unmask])
def test_enough_frames_close_a_step(kind):
    play = at(kind, n=4)
    coordinator = play.parties[0]
    for site in (2, 3, 4):
        coordinator.receive(play.parcel(kind, site))
    before = coordinator.state
    coordinator.tell(Close())
    assert type(coordinator.state) is not type(before)


def test_a_dealer_that_was_refused_is_no_member():
    play = at(Shares, n=5)
    play.swap(Shares, 2, dealt(play, 2, slots={1: replace(slot_of(play, 2), sealed=b"")}))
    play.until(Ready)
    assert play.state(0).survivors == (1, 3, 4, 5)
    play.present.discard(2)
    play.until(Result)


@pytest.mark.parametrize(
    ("accepted", "colluders", "members"),
    [
        ({1: {2, 3}, 2: {1, 3}, 3: {1, 2}}, 0, {1, 2, 3}),
        ({1: {2, 3}, 2: {3}, 3: {1, 2}}, 1, {1, 3}),  # a tie goes against the higher index
        ({1: {2, 3}, 2: {3}, 3: {1, 2}}, 0, {3}),
        ({1: set(), 2: {3, 4}, 3: {2, 4}, 4: {2, 3}}, 1, {2, 3, 4}),  # who refuses all is out
        ({1: {3, 4}, 2: {3, 4}, 3: {1, 2, 4}, 4: {1, 2, 3}}, 1, {1, 3, 4}),
        ({}, 1, set()),
    ],
)
def test_members_accepted_each_other(accepted, colluders, members):
    """Pitfall 23."""
    refused = {site: set(accepted) - others - {site} for site, others in accepted.items()}
    assert mutual_members(refused, colluders) == members


# A round ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        ({"roster": (1, 2, 3, 5)}, ParameterError),
        ({"roster": (0, 1, 2, 3)}, ParameterError),
        ({"roster": (1, 1, 2, 3)}, ParameterError),
        ({"roster": (1, 2)}, NotEnoughParticipantsError),
        ({"schema": replace(SCHEMA, segments=(replace(SCHEMA.segments[0], count=101),))}, ParameterError),
        ({"schema": replace(SCHEMA, ring_bits=33)}, ParameterError),
        ({"schema": replace(SCHEMA, ring_bits=10)}, HeadroomError),
        ({"schema": replace(SCHEMA, mac_lanes=1)}, ParameterError),
        ({"schema": replace(SCHEMA, mac_lanes=0)}, ParameterError),
        ({"query": bytes(2**20 + 1)}, ParameterError),
        ({"deadline": -1}, ParameterError),
    ],
    ids=lambda item: next(iter(item)) if isinstance(item, dict) else "",
)
def test_rounds_that_are_not_opened(ask, error):
    play = prepared(n=4, max_lanes=100, max_ring_bits=32)
    play.denies(0, Ask(**{"query": QUERY, "schema": SCHEMA, "deadline": ROUND_DEADLINE, **ask}), error)


def test_a_vector_as_large_as_the_manifest_allows_is_asked_for_and_sent():
    play = prepared(n=4, max_lanes=SCHEMA.length, max_ring_bits=SCHEMA.ring_bits)
    play.until(Result)


def test_a_list_for_everyone_comes_without_a_payload():
    """Only a sparse graph needs all nonces beside the prekeys."""
    play = at(PrekeyList)
    sends = [effect for effect in play.parties[0].effects if isinstance(effect, Send)]
    assert {(send.payload, send.shared) for send in sends} == {((), False)}


def test_no_round_beyond_the_epoch():
    play = at(Result)
    play.denies(0, Ask(QUERY, SCHEMA, ROUND_DEADLINE), NotEnoughParticipantsError)


def test_a_round_that_was_given_up_is_burnt():
    """Pitfall 14: its number does not come again."""
    play = at(Upload, rounds=2)
    coordinator = play.parties[0]
    coordinator.tell(Abandon())
    assert isinstance(coordinator.state, cr.Prepared)
    assert coordinator.state.next_round == 2


@pytest.mark.parametrize("roster", [(), (1, 2, 3)])
def test_the_run_ends_with_a_loss_where_the_manifest_says_so(roster):
    play = prepared(n=4, loss_rule=LossRule.ABORT)
    if roster:
        play.denies(0, Ask(QUERY, SCHEMA, ROUND_DEADLINE, roster), NotEnoughParticipantsError)
    play.until(Upload)
    for site in (1, 2, 3):
        play.parties[0].receive(play.parcel(Upload, site))
    play.denies(0, Close(), NotEnoughParticipantsError)


@pytest.mark.parametrize("loss_rule", LossRule)
def test_a_run_without_a_loss_goes_on_under_every_rule(loss_rule):
    play = prepared(n=4, rounds=3, loss_rule=loss_rule).until(Result).until(Open).until(Result)
    assert [effect.round for effect in play.parties[0].effects if isinstance(effect, Learned)] == [1, 2]


def test_a_total_of_another_schema_is_not_published():
    play = at(Result)
    coordinator = play.parties[0]
    coordinator.state = next(state for state in coordinator.past if isinstance(state, cr.AwaitTotal))
    other = replace(SCHEMA, segments=(replace(SCHEMA.segments[0], count=1),))
    play.denies(0, Publish(RingVector.zeros(other)), ParameterError)


@pytest.mark.parametrize("kind", [Join, Result])
def test_a_machine_takes_no_event_of_another_role(kind):
    play = at(kind)
    play.denies(1, Close(), StateError)
    play.denies(0, Tick(0), StateError)


# A site -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", [[float("nan")] * 3, [1.0] * 2, [[1.0] * 3], ["a"] * 3, None, [1j] * 3])
def test_vectors_that_are_not_sent(vector):
    """Recipe 24."""
    play = at(Open)
    play.parties[1].receive(play.parcel(Open))
    play.denies(1, Contribute(vector), ParameterError)


def test_values_beyond_a_clip_that_refuses_are_not_sent():
    strict = replace(SCHEMA, segments=(replace(SCHEMA.segments[0], beyond=Beyond.REFUSE),))
    play = at(Open, schema=strict)
    play.parties[1].receive(play.parcel(Open))
    play.denies(1, Contribute([0.0, 99.0, 0.0]), BeyondClipError)


@pytest.mark.parametrize("reason", ["x" * 201, "naïve", "line\nbreak"])
def test_reasons_that_cannot_be_sent(reason):
    play = at(Open)
    play.parties[1].receive(play.parcel(Open))
    play.denies(1, DeclineRound(reason), ParameterError)


def test_how_many_values_were_clipped_is_known_to_the_site():
    play = at(Open)
    play.vectors[1] = [99.0, 0.0, -99.0]
    play.until(Upload)
    assert isinstance(play.state(1), pr.AwaitSurvivors)
    assert (play.state(1).clipped, play.state(2).clipped) == (2, 0)


# Beginning ----------------------------------------------------------------------------------------------------------


def test_an_epoch_is_announced_by_its_coordinator_to_sites_of_the_roster():
    play = at(Manifest)
    foreign = replace(play.plan, sites=(*play.plan.sites, play.stranger.public))
    for plan, identity in ((play.plan, play.stranger), (foreign, play.parties[0].identity)):
        with pytest.raises(ParameterError):
            announce(plan, StepInputs(identity=identity, rand=bytes(32)))


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("n", [3, 4, 7])
def test_what_a_plan_leaves_open_is_chosen_as_sites_ask_for(n, profile):
    """With floors as they come, every site joins."""
    assert len(at(Join, n=n, profile=profile).mail[Join]) == n


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_step_takes_32_random_bytes(size):
    with pytest.raises(ParameterError):
        StepInputs(identity=Identity(bytes(32)), rand=bytes(size))


def test_a_sealed_message_is_not_signed_open():
    play = at(Unmask)
    with pytest.raises(StateError):
        signed(play.parties[1].inputs(), play.message(Unmask, 1), epoch=play.epoch, transcript=bytes(32), sender=1)


def test_a_floor_of_one_in_nothing_refuses_everything():
    """What an integrator forgot to set is strict, and no division by zero."""
    play = at(Manifest)
    party = play.parties[1]
    party.state = replace(party.state, floors=Floors(colluders_one_in=0))
    play.refuses(1, play.parcel(Manifest), FaultyCoordinatorError, "V-0307")


def test_the_coordinators_key_is_erased_with_its_use():
    play = at(Encapsulations)
    key = next(state.curve_private for state in play.parties[0].past if isinstance(state, cs.AwaitPrekeys))
    assert key not in play.state(0).encode()
    assert play.message(Cohort)
