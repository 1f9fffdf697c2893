"""The inputs that the guided fuzzer kept, and an honest input of every kind, run without the fuzzer."""

import pytest

from secagg.messages import MESSAGES
from tests.fuzz.inputs import (
    IN_A_FRAME,
    KEPT,
    MAX_BYTES,
    ON_A_GRAPH,
    ON_GRAPHS,
    OTHERS,
    PAYLOADS,
    RAW_FRAME,
    STATE,
    run_input,
    seeds,
)

INPUTS = sorted(KEPT.iterdir())
IN_FRAMES = {*(IN_A_FRAME + kind for kind in MESSAGES), *(ON_A_GRAPH + kind for kind in ON_GRAPHS)}
KINDS = {*MESSAGES, *OTHERS, *PAYLOADS, *IN_FRAMES, STATE, RAW_FRAME}


def test_kept_inputs_give_a_protocol_error_or_none():
    outcomes = {run_input(path.read_bytes()) for path in INPUTS}
    assert {"accepted", "V-0101", "V-0102", "V-0103", "V-0104", "V-0105", "V-0704"} <= outcomes


def test_the_corpus_has_every_decoder_and_stays_small():
    assert {path.read_bytes()[0] for path in INPUTS} >= KINDS
    assert sum(path.stat().st_size for path in INPUTS) < 1 << 19
    assert max(path.stat().st_size for path in INPUTS) <= MAX_BYTES


def test_honest_inputs_are_accepted():
    outcomes = {(data[0], run_input(data)) for data in seeds()}
    assert outcomes == {(kind, "accepted") for kind in KINDS}


@pytest.mark.parametrize("data", [b"", b"\0", bytes([60]), bytes([255])])
def test_what_names_no_decoder(data):
    assert run_input(data) == "nothing"
