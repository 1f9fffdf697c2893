"""Given the same randomness, the state machines send the reference's frames and payloads, byte for byte."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from secagg.codec import Record
from secagg.envelope import Frame
from secagg.errors import ProtocolError
from secagg.identity import Identity, Roster
from secagg.messages import Manifest, Receipt
from secagg.params import Floors, Profile, Schema
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.participant_setup import Outside
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import (
    Add,
    Ask,
    Close,
    Confirm,
    Contribute,
    Event,
    Keep,
    Learned,
    Publish,
    Send,
    Step,
    StepInputs,
)
from secagg.protocol.table import receive, tell
from tests.vectors.files import load, unhex

RUNS = ("round-malicious", "round-semi-honest", "round-sparse")
FLOORS = Floors(profile=Profile.SEMI_HONEST, colluders_one_in=7)


@dataclass
class Player:
    """All machines of a run, and every state that they were in."""

    script: dict[str, Any]
    roster: Roster = field(init=False)
    identities: list[Identity] = field(init=False)
    states: list[Record | None] = field(init=False)  # of each party; the coordinator's first
    kept: dict[type, dict[int, Any]] = field(default_factory=dict)
    total: RingVector | None = None
    learned: list[Learned] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.roster = Roster.decode(unhex(self.script["roster"]))
        self.identities = [Identity(seed) for seed in unhex(self.script["identities"])]
        manifest = self.manifest()
        outside = Outside(roster=self.roster, run=manifest.run, floors=FLOORS, last_epoch=0, survivors=())
        self.states = [None, *(outside for _ in self.identities[1:])]

    def manifest(self) -> Manifest:
        return Manifest.decode(Frame.decode(unhex(self.script["sent"][0]["frame"])).body)

    def inputs(self, step: dict[str, Any]) -> StepInputs:
        drawn = iter(unhex(list(step.get("encapsulations", {}).values())))
        kept = {kind.__name__: packages for kind, packages in self.kept.items()}
        return StepInputs(
            identity=self.identities[step["party"]],
            rand=unhex(step["rand"]),
            encapsulate=lambda _key: tuple(next(drawn)),
            encapsulations=kept.get("EncapsulationPackage", {}),
            shares=kept.get("SharePackage", {}),
            leaves=kept.get("HeldLeaves", {}),
        )

    def sent(self, place: int) -> tuple[bytes, bytes]:
        return unhex(self.script["sent"][place]["frame"]), unhex(self.script["sent"][place]["payload"])

    def play(self, step: dict[str, Any]) -> list[tuple[bytes, bytes]]:
        """Do one step, and return what the machine sends."""
        party, inputs = step["party"], self.inputs(step)
        if step.get("tell") == "announce":
            made = announce(self.plan(), inputs)
        elif "tell" in step:
            made = tell(self.states[party], self.event(step), inputs)
        else:
            made = receive(self.states[party], *self.received(step, inputs))
        self.states[party] = made.state
        return self.effects(made)

    def received(self, step: dict[str, Any], inputs: StepInputs) -> tuple[bytes, StepInputs, bytes]:
        frame, payload = self.sent(step["receive"])
        return frame, inputs, payload

    def effects(self, made: Step) -> list[tuple[bytes, bytes]]:
        for effect in made.effects:
            if isinstance(effect, Keep):
                self.kept.setdefault(type(effect.package), {})[effect.site] = effect.package
            elif isinstance(effect, Add):
                self.total.add(effect.vector)
            elif isinstance(effect, Learned):
                self.learned.append(effect)
        sends = [effect for effect in made.effects if isinstance(effect, Send)]
        return [(send.frame.encode(), b"".join(send.payload)) for send in sends]

    def event(self, step: dict[str, Any]) -> Event:
        match step["tell"]:
            case "ask":
                opening = step["open"]
                schema = Schema.decode(unhex(step["schema"]))
                self.total = RingVector.zeros(schema)
                return Ask(unhex(opening["query"]), schema, opening["deadline"], tuple(step["roster"]))
            case "contribute":
                return Contribute(step["values"])
            case "confirm":
                return Confirm()
            case "publish":
                self.total.mask(self.states[0].masks, remove=True)
                return Publish(self.total)
        return Close()

    def plan(self) -> Plan:
        """The plan whose manifest is the script's."""
        manifest = self.manifest()
        names = ("run", "epoch", "first_round", "rounds", "setup_deadline", "expires", "profile", "loss_rule")
        names += ("threshold", "colluders", "survivors", "slack", "degree", "max_lanes", "max_ring_bits", "sites")
        return Plan(roster=self.roster, **{name: getattr(manifest, name) for name in names})


@pytest.mark.parametrize("run", RUNS)
def test_every_byte_of_a_run(run):
    player = Player(load(run))
    for number, step in enumerate(player.script["steps"]):
        expected = [player.sent(place) for place in step["sends"]]
        assert player.play(step) == expected, f"step {number}: {step}"


@pytest.mark.parametrize("run", RUNS)
def test_sums(run):
    player = Player(load(run))
    for step in player.script["steps"]:
        player.play(step)
    expected = {total["round"]: total for total in player.script["sums"]}
    assert {learned.round for learned in player.learned} == set(expected)
    for learned in player.learned:
        assert list(learned.survivors) == expected[learned.round]["survivors"]
        assert np.asarray(learned.total).tolist() == expected[learned.round]["reals"]


@pytest.fixture(scope="module")
def places():
    """The machines before each step of each run: states are values, so they can be kept."""
    found = {run: [] for run in RUNS}
    for run, before in found.items():
        player = Player(load(run))
        for step in player.script["steps"]:
            before.append((player.states[step["party"]], player.inputs(step)))
            player.play(step)
    return found


REFUSALS = [(run, case) for run in RUNS for case in load(run.replace("round", "refusals"))]


@pytest.mark.parametrize(("run", "case"), REFUSALS, ids=[case["fault"] for _, case in REFUSALS])
def test_refusals(run, case, places):
    state, inputs = places[run][case["before"]]
    if "kept" in case:  # by the site, of an earlier epoch of the run
        state = replace(state, survivors=tuple(unhex(case["kept"])))
    frame, payload = unhex(case["frame"]), unhex(case["payload"])
    if "check" in case:
        before = state.encode()
        with pytest.raises(ProtocolError) as refused:
            receive(state, frame, inputs, payload)
        assert refused.value.check == case["check"]
        assert state.encode() == before
    else:
        (send,) = receive(state, frame, inputs, payload).effects
        assert Receipt.decode(send.frame.body).refused == {int(u): r for u, r in case["refused"].items()}
        assert send.frame.encode() == unhex(case["answer"])
