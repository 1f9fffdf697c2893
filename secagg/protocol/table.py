"""The only transition table of protocol 1: the messages and local events that each state accepts, with handlers.

Spec: 02-protocol §1, whose list of transitions is generated from this table. Anything else is refused: a message with
V-0001, a local event as the caller's mistake. No handler changes its state; it returns the next one, or raises without
any effect.

A site                                                     The coordinator
  Outside ─Manifest→ AwaitCohort ─Cohort→ AwaitPrekeyList    AwaitJoins ─Close→ AwaitPrekeys ─Close→
  ─PrekeyList→ AwaitEncapsulationList ─EncapsulationList→    AwaitEncapsulations ─Close→ AwaitShares ─Close→
  AwaitShareList ─ShareList→ AwaitReady ─Ready→ AwaitOpen    AwaitReceipts ─Close→ Prepared
  AwaitOpen ─Open→ AwaitVector ─Contribute→ AwaitSurvivors   Prepared ─Ask→ AwaitUploads ─Close→ AwaitSignatures
  ─Survivors→ AwaitConfirmation ─Confirm→ AwaitQuorum        ─Close→ AwaitAnswers ─Close→ AwaitTotal
  ─Quorum→ AwaitResult ─Result→ AwaitOpen                    ─Publish→ Prepared

In a homomorphic epoch AwaitQuorum ─Quorum→ AwaitOpening ─Opening→ AwaitOpen, or, at sites that publish, AwaitOpening
─Opening→ AwaitRelease ─Release→ AwaitOpen; and AwaitSignatures ─Close→ AwaitSealedShares ─Publish→ AwaitOpened ─Opened,
Close→ Prepared.
"""

from typing import TypeAlias

from secagg import envelope
from secagg.codec import Record
from secagg.errors import DecodeError, StateError, UnexpectedMessageError
from secagg.messages import (
    MESSAGES,
    SECRET_BYTES,
    Cohort,
    Consistency,
    Decline,
    EncapsulationList,
    Encapsulations,
    Join,
    Manifest,
    Open,
    Opened,
    Opening,
    PrekeyList,
    Prekeys,
    Quorum,
    Ready,
    Receipt,
    Result,
    SealedShares,
    ShareList,
    Shares,
    Survivors,
    Unmask,
    Upload,
)
from secagg.protocol import coordinator_opening as co
from secagg.protocol import coordinator_round as cr
from secagg.protocol import coordinator_setup as cs
from secagg.protocol import encrypted_vector, ring_vector
from secagg.protocol import opening as op
from secagg.protocol import participant_round as pr
from secagg.protocol import participant_setup as ps
from secagg.protocol.step import (
    Abandon,
    Ask,
    Close,
    Confirm,
    Contribute,
    DeclineRound,
    Event,
    Handler,
    Listening,
    Publish,
    Received,
    Release,
    Step,
    StepInputs,
    Tick,
    Withhold,
)

ParticipantState: TypeAlias = (
    ps.Outside
    | ps.AwaitCohort
    | ps.AwaitPrekeyList
    | ps.AwaitEncapsulationList
    | ps.AwaitShareList
    | ps.AwaitReady
    | pr.AwaitOpen
    | pr.AwaitVector
    | pr.AwaitSurvivors
    | pr.AwaitConfirmation
    | pr.AwaitQuorum
    | pr.AwaitResult
    | pr.AwaitOpening
    | pr.AwaitRelease
    | pr.Closed
)
CoordinatorState: TypeAlias = (
    cs.AwaitJoins
    | cs.AwaitPrekeys
    | cs.AwaitEncapsulations
    | cs.AwaitShares
    | cs.AwaitReceipts
    | cr.Prepared
    | cr.AwaitUploads
    | cr.AwaitSignatures
    | cr.AwaitAnswers
    | cr.AwaitTotal
    | cr.AwaitSealedShares
    | cr.AwaitOpened
)

TABLE: dict[tuple[type[Record], type], Handler] = {
    # A site: setup
    (ps.Outside, Manifest): ps.on_manifest,
    (ps.AwaitCohort, Cohort): ps.on_cohort,
    (ps.AwaitCohort, Tick): ps.on_setup_tick,
    (ps.AwaitPrekeyList, PrekeyList): ps.on_prekey_list,
    (ps.AwaitPrekeyList, Tick): ps.on_setup_tick,
    (ps.AwaitEncapsulationList, EncapsulationList): ps.on_encapsulation_list,
    (ps.AwaitEncapsulationList, Tick): ps.on_setup_tick,
    (ps.AwaitShareList, ShareList): ps.on_share_list,
    (ps.AwaitShareList, Tick): ps.on_setup_tick,
    (ps.AwaitReady, Ready): ps.on_ready,
    (ps.AwaitReady, Tick): ps.on_setup_tick,
    # A site: rounds; each state also accepts the next Open, which closes the round for good
    (pr.AwaitOpen, Open): pr.on_open,
    (pr.AwaitOpen, Tick): pr.on_tick,
    (pr.AwaitVector, Contribute): pr.on_contribute,
    (pr.AwaitVector, DeclineRound): pr.on_refuse,
    (pr.AwaitVector, Open): pr.on_open,
    (pr.AwaitVector, Tick): pr.on_round_tick,
    (pr.AwaitSurvivors, Survivors): pr.on_survivors,
    (pr.AwaitSurvivors, Open): pr.on_open,
    (pr.AwaitSurvivors, Tick): pr.on_round_tick,
    (pr.AwaitConfirmation, Confirm): pr.on_confirm,
    (pr.AwaitConfirmation, Withhold): pr.on_withhold,
    (pr.AwaitConfirmation, Open): pr.on_open,
    (pr.AwaitConfirmation, Tick): pr.on_round_tick,
    (pr.AwaitQuorum, Quorum): pr.on_quorum,
    (pr.AwaitQuorum, Open): pr.on_open,
    (pr.AwaitQuorum, Tick): pr.on_round_tick,
    (pr.AwaitResult, Result): pr.on_result,
    (pr.AwaitResult, Open): pr.on_open,
    (pr.AwaitResult, Tick): pr.on_round_tick,
    (pr.AwaitOpening, Opening): op.on_opening,
    (pr.AwaitOpening, Open): pr.on_open,
    (pr.AwaitOpening, Tick): pr.on_round_tick,
    (pr.AwaitRelease, Release): op.on_release,
    (pr.AwaitRelease, Open): pr.on_open,
    (pr.AwaitRelease, Tick): pr.on_round_tick,
    # The coordinator: setup
    (cs.AwaitJoins, Join): cs.on_join,
    (cs.AwaitJoins, Close): cs.close_joins,
    (cs.AwaitPrekeys, Prekeys): cs.on_prekeys,
    (cs.AwaitPrekeys, Close): cs.close_prekeys,
    (cs.AwaitEncapsulations, Encapsulations): cs.on_encapsulations,
    (cs.AwaitEncapsulations, Close): cs.close_encapsulations,
    (cs.AwaitShares, Shares): cs.on_shares,
    (cs.AwaitShares, Close): cs.close_shares,
    (cs.AwaitReceipts, Receipt): cs.on_receipt,
    (cs.AwaitReceipts, Close): cs.close_receipts,
    # The coordinator: rounds
    (cr.Prepared, Ask): cr.ask,
    (cr.AwaitUploads, Upload): cr.on_upload,
    (cr.AwaitUploads, Decline): cr.on_decline,
    (cr.AwaitUploads, Close): cr.close_uploads,
    (cr.AwaitUploads, Abandon): cr.abandon,
    (cr.AwaitSignatures, Consistency): cr.on_consistency,
    (cr.AwaitSignatures, Close): cr.close_signatures,
    (cr.AwaitSignatures, Abandon): cr.abandon,
    (cr.AwaitAnswers, Unmask): cr.on_unmask,
    (cr.AwaitAnswers, Close): cr.close_answers,
    (cr.AwaitAnswers, Abandon): cr.abandon,
    (cr.AwaitTotal, Publish): cr.publish,
    (cr.AwaitTotal, Abandon): cr.abandon,
    (cr.AwaitSealedShares, SealedShares): co.on_sealed_shares,
    (cr.AwaitSealedShares, Publish): co.send_opening,
    (cr.AwaitSealedShares, Abandon): cr.abandon,
    (cr.AwaitOpened, Opened): co.on_opened,
    (cr.AwaitOpened, Close): co.close_opened,
    (cr.AwaitOpened, Abandon): cr.abandon,
}

# A state's number in its encoding is its position here; append only.
STATES: tuple[type[Record], ...] = (
    ps.Outside,
    ps.AwaitCohort,
    ps.AwaitPrekeyList,
    ps.AwaitEncapsulationList,
    ps.AwaitShareList,
    ps.AwaitReady,
    pr.AwaitOpen,
    pr.AwaitVector,
    pr.AwaitSurvivors,
    pr.AwaitConfirmation,
    pr.AwaitQuorum,
    pr.AwaitResult,
    pr.Closed,
    cs.AwaitJoins,
    cs.AwaitPrekeys,
    cs.AwaitEncapsulations,
    cs.AwaitShares,
    cs.AwaitReceipts,
    cr.Prepared,
    cr.AwaitUploads,
    cr.AwaitSignatures,
    cr.AwaitAnswers,
    cr.AwaitTotal,
    pr.AwaitOpening,
    cr.AwaitSealedShares,
    cr.AwaitOpened,
    pr.AwaitRelease,
)


def receive(state: Record, data: bytes, inputs: StepInputs, payload: bytes | None = None) -> Step:
    """Advance a party by one frame and its payload.

    Raises:
        ProtocolError: the frame is refused; `state` is unchanged, and nothing is to be sent. V-0001: this state does
            not accept this kind of message; V-0107: no such kind exists.
    """
    frame = envelope.parse(data)
    kind = MESSAGES.get(frame.kind)
    if kind is None:
        raise DecodeError("V-0107", f"message kind {frame.kind} does not exist")
    handler = TABLE.get((type(state), kind))
    if handler is None:
        raise UnexpectedMessageError("V-0001", f"{type(state).__name__} does not accept {kind.__name__}")
    assert isinstance(state, Listening)  # as is every state that accepts a message
    state.admit(frame)
    return handler(state, Received(frame, payload), inputs)


def payload_bytes(state: Record) -> int:
    """Return the length of the payload that a site in this state expects; 0 for none.

    Code that fetches payloads for a site should refuse longer ones.
    """
    if isinstance(state, ps.AwaitPrekeyList):
        return SECRET_BYTES * len(state.listed)
    if isinstance(state, pr.AwaitResult):
        return ring_vector.sealed_bytes(state.schema)
    if isinstance(state, pr.AwaitOpening):
        return encrypted_vector.sealed_bytes(state.current.schema)
    return 0


def tell(state: Record, event: Event, inputs: StepInputs) -> Step:
    """Advance a party by a local event.

    Raises:
        StateError: this state does not accept such an event.
        ParameterError, HeadroomError, AbortError: see the handler; `state` is unchanged.
    """
    handler = TABLE.get((type(state), type(event)))
    if handler is None:
        raise StateError(f"{type(state).__name__} does not accept {type(event).__name__}")
    return handler(state, event, inputs)


def encode_state(state: Record) -> bytes:
    """Return a state's canonical bytes, which contain its secrets: seal them before storing them."""
    return bytes([STATES.index(type(state))]) + state.encode()


def decode_state(data: bytes) -> Record:
    """Return the state encoded by `encode_state`.

    Raises:
        DecodeError: the bytes are not a state.
    """
    if not data or data[0] >= len(STATES):
        raise DecodeError("V-0107", "no state has this number")
    return STATES[data[0]].decode(data[1:])
