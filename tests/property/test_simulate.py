"""The secure sum is the plain sum, for cohorts of 3 to 50 sites that lose some during the run.

A value x becomes k = round(x / step), limited to the clip, with |k step - clip(x)| <= step / 2. In addition there
is the rounding of binary64: of step, of x / step, of a value at the clip, and of the sum times step, each at most
2^-53 of the clip per site. So a sum over s survivors is within s (step / 2 + 6 clip 2^-53) of the exact sum of the
clipped values.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secagg.errors import HeadroomError, NotEnoughParticipantsError, ParameterError
from secagg.params import Profile, default_colluders, default_threshold, least_survivors
from secagg.simulate import simulate

ROUNDING = Fraction(6, 2**53)
EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.0 + 2**-40, 1e300, -1e300, 5e-324)
SMALL = settings(deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck))

SIZES = (*(3, 4, 5, 6) * 20, *range(7, 13), *range(20, 51, 10))
sizes = st.sampled_from(SIZES).flatmap(lambda n: st.integers(n - 7, n) if n > 12 else st.just(n))
values = st.one_of(st.floats(-3, 3, width=64), st.sampled_from(EDGES))


class Case(NamedTuple):
    """What `simulate` is called with, and how many sites must upload and answer."""

    rows: np.ndarray
    clip: float | np.ndarray
    value_bits: int
    profile: str
    threshold: int | None
    least: int
    needed: int

    def simulate(self, lost_before_upload: Sequence[int], lost_before_unmask: Sequence[int]):
        return simulate(
            self.rows,
            threshold=self.threshold,
            clip=self.clip,
            value_bits=self.value_bits,
            profile=self.profile,
            drop_before_upload=lost_before_upload,
            drop_before_unmask=lost_before_unmask,
        )


@st.composite
def cases(draw, profile: Profile) -> Case:
    n, d = draw(sizes), draw(st.integers(1, 12))
    scales = st.floats(1e-6, 1e6)
    clip = draw(st.one_of(scales, st.lists(scales, min_size=d, max_size=d).map(np.array)))
    palette = draw(st.lists(values, min_size=1, max_size=24))
    rows = np.resize(palette, (n, d)) * clip
    threshold = draw(st.one_of(st.none(), st.integers(n // 2 + 1, n)))
    needed = default_threshold(n, profile) if threshold is None else threshold
    least = least_survivors(needed, min(default_colluders(n, profile), 2 * needed - n - 1))
    bits = draw(st.integers(2, 48))
    return Case(rows, clip, bits, profile.name.lower().replace("_", "-"), threshold, least, needed)


@st.composite
def losses(draw, n: int, least: int, needed: int) -> tuple[list[int], list[int]]:
    """Return rows that are lost before the upload and before unmasking, as many as a round may lose."""
    order = draw(st.permutations(range(n)))
    early = draw(st.integers(0, n - least))
    late = draw(st.integers(0, n - early - needed))
    return list(order[:early]), list(order[early : early + late])


def exact_sum(rows: np.ndarray, clips: np.ndarray) -> list[Fraction]:
    limits = [Fraction(clip) for clip in clips]
    return [
        sum((max(-limit, min(limit, Fraction(x))) for x in column), Fraction())
        for column, limit in zip(rows.T.tolist(), limits, strict=True)
    ]


def assert_is_the_sum(case: Case, lost_before_upload: Sequence[int], lost_before_unmask: Sequence[int]) -> None:
    result = case.simulate(lost_before_upload, lost_before_unmask)
    assert result.survivors == tuple(i for i in range(len(case.rows)) if i not in lost_before_upload)
    rows = case.rows[list(result.survivors)]
    clips = np.broadcast_to(case.clip, rows.shape[1:])
    levels = (1 << (case.value_bits - 1)) - 1
    for total, expected, clip in zip(result.total.tolist(), exact_sum(rows, clips), clips.tolist(), strict=True):
        bound = len(rows) * (Fraction(clip) / levels / 2 + ROUNDING * Fraction(clip))
        assert abs(Fraction(total) - expected) <= bound
    surely, perhaps = (int((np.abs(rows) > clips * (1 + slack)).sum()) for slack in (1 / levels, 0))
    assert surely <= result.clipped <= perhaps


@settings(SMALL, max_examples=260)
@given(st.data())
@pytest.mark.parametrize("profile", Profile, ids=lambda one: one.name)
def test_the_secure_sum_is_the_plain_sum(profile, data):
    case = data.draw(cases(profile))
    assert_is_the_sum(case, *data.draw(losses(len(case.rows), case.least, case.needed)))


@settings(SMALL, max_examples=30)
@given(st.data())
@pytest.mark.parametrize("profile", Profile, ids=lambda one: one.name)
def test_below_the_threshold_there_is_no_sum(profile, data):
    case = data.draw(cases(profile).filter(lambda case: len(case.rows) < 13))
    n = len(case.rows)
    early = data.draw(st.integers(0, n))
    late = data.draw(st.integers(0 if n - early < case.least else max(0, n - early - case.needed + 1), n - early))
    order = data.draw(st.permutations(range(n)))
    with pytest.raises(NotEnoughParticipantsError):
        case.simulate(order[:early], order[early : early + late])


@pytest.mark.parametrize("n", [3, 20, 50])
def test_large_cohorts_with_as_many_losses_as_there_may_be(n):
    rows = np.arange(n * 2.0).reshape(n, 2) - n
    case = Case(rows, 64.0, 30, "malicious", None, needed := default_threshold(n, Profile.MALICIOUS), needed)
    lost = range(n - needed)
    half = len(lost) // 2
    assert_is_the_sum(case, lost[:half], lost[half:])


@pytest.mark.parametrize("d", [65_535, 65_536, 65_537, 131_073])
def test_vectors_of_more_than_one_chunk(d):
    rows = np.linspace(-1, 1, 3 * d).reshape(3, d)
    result = simulate(rows, clip=1.0, value_bits=24)
    assert np.abs(result.total - rows.sum(axis=0)).max() <= 3 * 0.5 / (2**23 - 1) + 1e-12
    assert result.clipped == 0


@pytest.mark.parametrize("value_bits", [2, 3, 32, 33, 61, 62])
def test_every_width_of_a_value(value_bits):
    """Two bits are the levels -1, 0, 1; beyond 53 bits it is binary64 that rounds."""
    rows = np.array([[1.0, -1.0, 0.25], [1.0, -1.0, -0.75], [0.5, 2.0, 0.0]])
    assert_is_the_sum(Case(rows, 1.0, value_bits, "malicious", None, 3, 3), [], [])


def test_a_lost_row_may_hold_anything():
    rows = np.ones((4, 2))
    rows[3] = np.nan
    assert simulate(rows, clip=1.0, drop_before_upload=[3]).survivors == (0, 1, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vectors": [[1.0, np.nan]] * 3},
        {"vectors": [[1.0, np.inf]] * 3},
        {"vectors": [[1.0, -np.inf]] * 3},
        {"vectors": [[1.0, 2.0]] * 2},
        {"vectors": [1.0, 2.0, 3.0]},
        {"vectors": np.ones((3, 2, 2))},
        {"vectors": np.ones((3, 0))},
        {"vectors": []},
        {"vectors": [["a", "b"]] * 3},
        {"vectors": [[1.0], [1.0, 2.0], [1.0]]},
        {"vectors": [[1j, 2j]] * 3},
        {"vectors": [[None, 1.0]] * 3},
        {"clip": 0.0},
        {"clip": -1.0},
        {"clip": np.nan},
        {"clip": np.inf},
        {"clip": [1.0, 0.0]},
        {"clip": [1.0, 2.0, 3.0]},
        {"clip": [[1.0, 2.0]] * 3},
        {"clip": 1e-320},
        {"clip": "wide"},
        {"value_bits": 1},
        {"value_bits": 63},
        {"threshold": 0},
        {"threshold": 1},
        {"threshold": 4},
        {"profile": "none"},
        {"mode": "none"},
        {"mode": "he", "neighbours": "auto"},
        {"drop_before_upload": [3]},
        {"drop_before_unmask": [-1]},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_summed_is_refused(wrong):
    with pytest.raises(ParameterError):
        simulate(**{"vectors": np.ones((3, 2)), "clip": 1.0, **wrong})


def test_a_sum_that_the_ring_cannot_hold_is_refused():
    with pytest.raises(HeadroomError):
        simulate(np.ones((5, 2)), clip=1.0, value_bits=62)
