"""Candidates: nothing is timed without a correct sum, and the peers' versions are pinned by hash."""

import re

import numpy as np
import pytest

from bench import peers
from bench.workers import environment, ours
from bench.workers.pipe import Worker, WorkerError
from bench.workers.work import left, plain_sum, seeds


def stand_ins(**changes):
    """All three candidates in this process, each of them ours; `changes` gives other sums."""

    def asked(shift):
        def ask(job, *, n, d, lost=0):
            assert job == "total"
            return (np.array(ours.total(n, d, lost)) + shift).tolist()

        return ask

    return peers.Candidates(*(asked(changes.get(name, 0.0)) for name in peers.Candidates._fields))


def test_right_sums_pass():
    peers.check_sums(stand_ins(), n=5, d=40, lost=2)


@pytest.mark.parametrize("name", peers.Candidates._fields)
def test_a_candidate_with_a_wrong_sum_gets_no_time(name):
    with pytest.raises(AssertionError, match=r"the sum of .* is wrong"):
        peers.check_sums(stand_ins(**{name: 1e-3}), n=5, d=40, lost=2)


def test_our_sum_is_the_plain_one_through_every_mask():
    assert np.abs(np.array(ours.total(6, 30, 2)) - plain_sum(6, 30, 2)).max() < 1e-4


def test_what_is_left_after_a_loss_are_the_masks_that_do_not_cancel():
    uploaded = [mask for site in range(2, 6) for mask in seeds(site, 6)]
    opposite = {(seed, not negate) for seed, negate in uploaded}
    assert sorted(mask for mask in uploaded if mask not in opposite) == sorted(left(6, 2))


def test_a_worker_answers_over_its_pipe_and_says_when_it_died():
    with Worker("ours") as worker:
        assert worker("client", n=3, d=10) > 0
        with pytest.raises(WorkerError, match="did not answer"):
            worker("no such job")


def test_the_peers_are_pinned_by_version_and_hash_alone():
    lines = environment.REQUIREMENTS.read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", " "))]
    assert {"flwr==1.42.0 \\", "fedbiomed==6.4.1 \\"} <= set(pins)
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+ \\", pin) for pin in pins)
    hashes = [line for line in lines if line.startswith(" ")]
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes)
    assert "://" not in environment.REQUIREMENTS.read_text()
