"""A whole cohort in memory: for tests, measurements, and an integrator's first try.

The real machines create, encode, decode and check every byte that the parties would exchange; only the network is
missing. This is the only module of the core that draws randomness and reads a clock.
"""

import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from time import process_time, time
from typing import Any, Literal, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import graph
from secagg.codec import Record
from secagg.envelope import EVERYONE
from secagg.errors import ParameterError
from secagg.identity import Identity, Roster
from secagg.messages import SUITES, EncapsulationPackage, HeldLeaves, SharePackage, Suite
from secagg.params import (
    MIN_SITES,
    PROFILES,
    Floors,
    Profile,
    Schema,
    Segment,
    default_colluders,
    default_threshold,
    mac_lanes_for,
    ring_bits_for,
)
from secagg.protocol.coordinator_round import AwaitTotal
from secagg.protocol.coordinator_setup import AwaitJoins, Plan, announce
from secagg.protocol.encrypted_vector import EncryptedVector
from secagg.protocol.participant_round import AwaitSurvivors
from secagg.protocol.participant_setup import AwaitCohort, Outside
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
    Package,
    Publish,
    Send,
    Step,
    StepInputs,
)
from secagg.protocol.table import receive, tell
from secagg.quantize import as_reals

Phase = Literal["epoch", "upload", "unmask"]
S = TypeVar("S", bound=Record)

PHASES: tuple[Phase, ...] = ("epoch", "upload", "unmask")
PACKAGES: tuple[type[Package], ...] = (EncapsulationPackage, SharePackage, HeldLeaves)
ONE_IN = 20  # fraction of sites that a sparse graph assumes corrupt, and again lost


@dataclass(frozen=True)
class SimulationResult:
    """The result of a simulated round.

    Attributes:
        total: (d,) float64, the sum of the survivors' clipped vectors.
        survivors: 0-based rows in the sum, including those of sites lost before unmasking.
        clipped: number of values moved to the clip, over all survivors.
        seconds: role -> phase -> seconds of busy time on one core; a participant's are the mean over all.
        bytes_sent: role -> phase -> bytes; a participant's are the mean over all.
    """

    total: NDArray[np.float64] = field(repr=False)
    survivors: tuple[int, ...]
    clipped: int
    seconds: dict[str, dict[str, float]]
    bytes_sent: dict[str, dict[str, float]]


def simulate(
    vectors: ArrayLike,
    *,
    threshold: int | None = None,
    clip: ArrayLike,
    value_bits: int = 20,
    profile: Literal["malicious", "semi-honest"] = "malicious",
    drop_before_upload: Collection[int] = (),
    drop_before_unmask: Collection[int] = (),
    neighbours: int | Literal["auto"] | None = None,
    mode: Literal["masks", "he"] = "masks",
) -> SimulationResult:
    """Run one epoch with one round over the rows of `vectors`, one site per row.

    Args:
        vectors: (n, d) finite numbers, n >= 3.
        threshold: number t of sites that must answer; by default the safest (see `secagg.params.default_threshold`).
        clip: positive; a number, or (d,) for one per entry.
        value_bits: 2 to 62; the sum differs from that of the clipped vectors by at most
            len(survivors) * clip / (2^value_bits - 2) per entry.
        drop_before_upload, drop_before_unmask: rows of the sites that drop out at that point.
        neighbours: number of neighbours per site, for cohorts of hundreds and more: an even number for a random regular
            graph that tolerates 5 % corrupt and 5 % lost sites, "auto" for the least such number, None for the complete
            graph. The threshold then refers to neighbourhoods, by default the least private one; the sum carries no
            lanes.
        mode: "he" sums under homomorphic encryption, and the coordinator does not learn the sum; `total` is then what
            the sites opened. Possible only on the complete graph; needs the extra `he`.

    Raises:
        ParameterError: wrong shapes or values, or too few neighbours for privacy; HeadroomError: the sum does not fit
            into 64 bits.
        NotEnoughParticipantsError: fewer sites than the threshold are left.
    """
    rows, clips = as_reals(vectors), as_reals(clip)
    if rows.ndim != 2 or len(rows) < MIN_SITES or rows.shape[1] < 1:
        raise ParameterError(f"vectors must be an array of at least {MIN_SITES} rows, got shape {rows.shape}")
    if unknown := {*drop_before_upload, *drop_before_unmask} - set(range(len(rows))):
        raise ParameterError(f"row {min(unknown)} does not exist")
    if clips.shape not in {(), rows.shape[1:]}:
        raise ParameterError(
            f"clip must be one number, or one for each of {rows.shape[1]} entries, got shape {clips.shape}"
        )
    if profile not in PROFILES:
        raise ParameterError(f"profile must be one of {', '.join(PROFILES)}")
    if mode not in {"masks", "he"} or (mode == "he" and neighbours is not None):
        raise ParameterError('mode must be "masks", or "he" on the complete graph')
    schema = _schema(np.broadcast_to(clips, rows.shape[1:]), value_bits, len(rows), lanes=neighbours is None)
    terms = on_complete_graph(len(rows), PROFILES[profile], threshold)
    if neighbours is not None:
        terms = _sparse(len(rows), PROFILES[profile], threshold, neighbours)
    cohort = SimulatedCohort.of(len(rows), PROFILES[profile], terms, SUITES[mode])
    cohort.set_up()
    total, survivors, clipped = cohort.round(
        b"simulation", rows, schema, set(drop_before_upload), set(drop_before_unmask)
    )
    return SimulationResult(total, survivors, clipped, *cohort.costs())


@dataclass
class Party:
    """One machine with its identity and its costs."""

    identity: Identity
    state: Record
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    sent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))

    def at(self, kind: type[S]) -> S:
        """Return the state, which must be of this kind by now."""
        assert isinstance(self.state, kind)
        return self.state


@dataclass
class SimulatedCohort:
    """A coordinator and its sites; site i of the manifest is `sites[i - 1]`."""

    roster: Roster
    coordinator: Party
    sites: list[Party]
    plan: Plan
    phase: Phase = "epoch"
    kept: dict[type[Package], dict[int, Any]] = field(default_factory=lambda: {kind: {} for kind in PACKAGES})
    total: Any = None  # sum of the vectors from the effect Add

    @classmethod
    def of(
        cls, n: int, profile: Profile, terms: "Terms", suite: Suite = Suite.X25519_MLKEM768_AES256, *, rounds: int = 1
    ) -> "SimulatedCohort":
        """Generate identities, and plan an epoch of this many rounds."""
        head = Identity(secrets.token_bytes(32))
        identities = sorted((Identity(secrets.token_bytes(32)) for _ in range(n)), key=lambda one: one.public)
        roster = Roster.of(secrets.token_bytes(16), b"simulation", head.public, (one.public for one in identities))
        run = secrets.token_bytes(16)
        hour = int(time()) + 3600
        plan = Plan(
            roster=roster,
            sites=roster.sites,
            run=run,
            rounds=rounds,
            setup_deadline=hour,
            expires=hour,
            profile=profile,
            suite=suite,
            **terms,
        )
        floors = Floors(profile=profile, colluders_one_in=n)
        outside = Outside(roster=roster, run=run, floors=floors, last_epoch=0, survivors=())
        return cls(roster, Party(head, outside), [Party(one, outside) for one in identities], plan)

    def set_up(self) -> None:
        """Run the epoch's setup."""
        everyone = range(len(self.sites))
        # The coordinator announces the manifest; five times, all sites answer and it closes the step with a list.
        with self._clocked(self.coordinator):
            step = announce(self.plan, self._inputs(self.coordinator))
        sends = self._settle(self.coordinator, step)
        answers = []
        for i in everyone:
            answers += self._deliver(sends, [i])
            self._share_manifest(self.sites[i])
        for _ in range(4):
            self._collect(answers)
            sends = self._tell(self.coordinator, Close())
            answers = self._deliver(sends, everyone)
        self._collect(answers)
        sends = self._tell(self.coordinator, Close())
        self._deliver(sends, everyone)

    def round(
        self,
        query: bytes,
        rows: NDArray[np.float64],
        schema: Schema,
        lost_before_upload: set[int],
        lost_before_unmask: set[int],
    ) -> tuple[NDArray[np.float64], tuple[int, ...], int]:
        """Run the next round; return the sum, the indices of the vectors in it, and how many values were clipped."""
        # Upload: the coordinator opens the round; each site still present masks its vector and sends it.
        self.phase = "upload"
        homomorphic = self.plan.suite is Suite.X25519_MLKEM768_AES256_BFV
        self.total = EncryptedVector.zeros(schema) if homomorphic else RingVector.zeros(schema)
        sends = self._tell(self.coordinator, Ask(query, schema, self.plan.expires))
        uploading = [i for i in range(len(self.sites)) if i not in lost_before_upload]
        self._deliver(sends, uploading)
        for i in uploading:
            self._collect(self._tell(self.sites[i], Contribute(rows[i])))
        clipped = sum(self.sites[i].at(AwaitSurvivors).clipped for i in uploading)

        # Unmask: the survivors sign their set, see a threshold of signatures, and answer with shares.
        self.phase = "unmask"
        answering = [i for i in uploading if i not in lost_before_unmask]
        sends = self._tell(self.coordinator, Close())
        self._deliver(sends, answering)
        for i in answering:
            self._collect(self._tell(self.sites[i], Confirm()))
        if self.plan.profile is Profile.MALICIOUS or self.plan.degree:
            sends = self._tell(self.coordinator, Close())
            self._collect(self._deliver(sends, answering))
        if homomorphic:
            return *self._open_at_the_sites(answering), clipped
        self._tell(self.coordinator, Close())
        with self._clocked(self.coordinator):
            self.total.mask(self.coordinator.at(AwaitTotal).masks, remove=True)
        effects = self._step(self.coordinator, Publish(self.total)).effects
        learned = next(effect for effect in effects if isinstance(effect, Learned))
        self._deliver([effect for effect in effects if isinstance(effect, Send)], answering)
        return np.asarray(learned.total), tuple(site - 1 for site in learned.survivors), clipped

    def _open_at_the_sites(self, answering: Collection[int]) -> tuple[NDArray[np.float64], tuple[int, ...]]:
        """Hand the encrypted sum to the sites and return the sum that they opened, which must be the same for all."""
        sends = self._tell(self.coordinator, Publish(self.total))
        opened: list[Learned] = []
        for i in answering:
            self._deliver(sends, [i], learned=opened)
        self._tell(self.coordinator, Close())
        first = opened[0]
        if not all(np.array_equal(np.asarray(first.total), np.asarray(other.total)) for other in opened):
            raise AssertionError("two sites opened different sums")
        return np.asarray(first.total), tuple(site - 1 for site in first.survivors)

    def _share_manifest(self, site: Party) -> None:
        """Let the site share the coordinator's copy of the manifest: n copies of n keys would take gigabytes."""
        state, manifest = site.at(AwaitCohort), self.coordinator.at(AwaitJoins).manifest
        site.state = replace(state, membership=replace(state.membership, manifest=manifest))

    def costs(self) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
        """Return seconds and bytes by role and phase."""
        n = len(self.sites)
        return (
            {
                "participant": {p: sum(site.seconds[p] for site in self.sites) / n for p in PHASES},
                "coordinator": dict(self.coordinator.seconds),
            },
            {
                "participant": {p: sum(site.sent[p] for site in self.sites) / n for p in PHASES},
                "coordinator": dict(self.coordinator.sent),
            },
        )

    def _deliver(
        self, sends: Sequence[Send], present: Collection[int], learned: list[Learned] | None = None
    ) -> list[Send]:
        """Hand the coordinator's frames to the sites present, and return the frames that these send."""
        answers = []
        for send in sends:
            data, payload = send.frame.encode(), b"".join(send.payload)
            for i in present if send.frame.recipient == EVERYONE else {send.frame.recipient - 1} & set(present):
                party = self.sites[i]
                with self._clocked(party):
                    step = receive(party.state, data, self._inputs(party), payload)
                answers += self._settle(party, step)
                if learned is not None:
                    learned += [effect for effect in step.effects if isinstance(effect, Learned)]
        return answers

    def _collect(self, sends: Sequence[Send]) -> None:
        """Hand the sites' frames to the coordinator."""
        for send in sends:
            data, payload = send.frame.encode(), b"".join(send.payload)
            with self._clocked(self.coordinator):
                step = receive(self.coordinator.state, data, self._inputs(self.coordinator), payload)
                for effect in step.effects:
                    if isinstance(effect, Add) and self.total is not None:
                        self.total.add(effect.vector)
            self._settle(self.coordinator, step)

    def _tell(self, party: Party, event: Event) -> list[Send]:
        return [effect for effect in self._step(party, event).effects if isinstance(effect, Send)]

    def _step(self, party: Party, event: Event) -> Step:
        with self._clocked(party):
            step = tell(party.state, event, self._inputs(party))
        self._settle(party, step)
        return step

    def _settle(self, party: Party, step: Step) -> list[Send]:
        """Adopt the next state, store the packages to keep, and count the bytes sent."""
        party.state = step.state
        sends = []
        for effect in step.effects:
            if isinstance(effect, Keep):
                self.kept[type(effect.package)][effect.site] = effect.package
            elif isinstance(effect, Send):
                party.sent[self.phase] += len(effect.frame.encode()) + sum(map(len, effect.payload))
                sends.append(effect)
        return sends

    def _inputs(self, party: Party) -> StepInputs:
        return StepInputs(
            identity=party.identity,
            rand=secrets.token_bytes(32),
            encapsulations=self.kept[EncapsulationPackage],
            shares=self.kept[SharePackage],
            leaves=self.kept[HeldLeaves],
        )

    @contextmanager
    def _clocked(self, party: Party) -> Iterator[None]:
        start = process_time()
        yield
        party.seconds[self.phase] += process_time() - start


class Terms(TypedDict):
    """A plan's thresholds and graph."""

    threshold: int
    colluders: int
    survivors: int | None
    degree: int


def on_complete_graph(n: int, profile: Profile, threshold: int | None) -> Terms:
    """Return terms with as many colluders as the threshold tolerates."""
    t = default_threshold(n, profile) if threshold is None else threshold
    if not n < 2 * t <= 2 * n:
        raise ParameterError(f"the threshold must be more than half of {n} sites and at most all, got {t}")
    return Terms(threshold=t, colluders=min(default_colluders(n, profile), 2 * t - n - 1), survivors=None, degree=0)


def _sparse(n: int, profile: Profile, threshold: int | None, neighbours: int | Literal["auto"]) -> Terms:
    """Return the terms of a sparse graph that tolerates one corrupt and one lost site in twenty."""
    bad, malicious = n // ONE_IN, profile is Profile.MALICIOUS
    degree = graph.find(n, corrupt=bad, lost=bad, malicious=malicious).degree if neighbours == "auto" else neighbours
    if degree % 2 or not 0 < degree < n - 1:
        raise ParameterError(f"neighbours must be even, positive and less than {n - 1}, got {degree}")
    least = graph.least_threshold(n, degree, corrupt=bad, lost=bad, malicious=malicious)
    if least is None or not least <= (threshold or least) <= degree:
        raise ParameterError(f"{degree} neighbours with a threshold of {threshold or least} do not keep secrets")
    return Terms(threshold=threshold or least, colluders=bad, survivors=n - bad, degree=degree)


def _schema(clip: NDArray[np.float64], value_bits: int, parties: int, *, lanes: bool) -> Schema:
    """Return a schema with one segment for each run of entries with the same clip."""
    if not 2 <= value_bits <= 62 or not np.all(np.isfinite(clip) & (clip > 0)):
        raise ParameterError("value_bits must be 2 to 62, and clip positive and finite")
    levels = (1 << (value_bits - 1)) - 1
    segments = tuple(
        Segment(count=len(list(stretch)), clip=float(value), step=float(value) / levels)
        for value, stretch in groupby(clip)
    )
    for segment in segments:
        segment.check()
    bits = ring_bits_for(max(segment.levels for segment in segments), parties)
    return Schema(ring_bits=bits, mac_lanes=mac_lanes_for(bits) if lanes else 0, segments=segments)
