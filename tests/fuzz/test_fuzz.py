"""A short run of the fuzzer, the same every time; `make fuzz` runs it with new seeds and for longer."""

from collections import Counter

import pytest

from tests.fuzz.targets import run_case

CASES = 2_500


@pytest.mark.parametrize("seed", [1, 2])
def test_any_bytes_give_a_new_state_or_a_protocol_error(seed):
    outcomes = Counter()
    for number in range(CASES):
        try:
            outcomes[run_case(seed, number)] += 1
        except Exception as error:
            error.add_note(f"again: python -m tests.fuzz --seed {seed} --case {number}")
            raise
    checks = {outcome for target, outcome in outcomes if target == "frame"}
    assert len(checks) > 30  # the cases get past signatures and seals, to where the rules are
    assert outcomes["frame", "accepted"] > 100
    assert {"V-0101", "V-0102", "V-0103", "V-0104", "V-0105", "accepted"} <= {o for t, o in outcomes if t == "decoder"}


def test_a_case_can_be_repeated():
    assert [run_case(7, number) for number in range(50)] == [run_case(7, number) for number in range(50)]
