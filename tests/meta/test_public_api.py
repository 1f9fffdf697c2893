"""The functions that secagg/README.md calls stable exist, with unchanged arguments."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from secagg import errors

PAGE = (Path(__file__).parents[2] / "secagg" / "README.md").read_text()
ROW = re.compile(r"^\| `(secagg[.\w]+)` \| (.+?) \|$", re.MULTILINE)
LISTED = {
    module: sorted(vars(errors)) if names == "all" else re.findall(r"`(\w+)`", names)
    for module, names in ROW.findall(PAGE.partition("## What is stable")[2])
}
SIGNATURES = {
    "secagg.simulate.simulate": "vectors, *, "
    "threshold, clip, value_bits, profile, drop_before_upload, drop_before_unmask",
    "secagg.simulate.SimulationResult": "total, survivors, clipped, seconds, bytes_sent",
    "secagg.protocol.table.receive": "state, data, inputs, payload",
    "secagg.protocol.table.tell": "state, event, inputs",
    "secagg.protocol.table.encode_state": "state",
    "secagg.protocol.table.decode_state": "data",
    "secagg.protocol.step.StepInputs": "identity, rand, encapsulate, encapsulations, shares",
    "secagg.protocol.step.Step": "state, effects",
    "secagg.protocol.step.Tick": "now",
    "secagg.protocol.step.Contribute": "vector",
    "secagg.protocol.step.DeclineRound": "reason",
    "secagg.protocol.step.Confirm": "",
    "secagg.protocol.step.Withhold": "",
    "secagg.protocol.step.Close": "",
    "secagg.protocol.step.Ask": "query, schema, deadline, roster",
    "secagg.protocol.step.Publish": "total",
    "secagg.protocol.step.Abandon": "",
    "secagg.protocol.step.Send": "frame, payload, shared",
    "secagg.protocol.step.Keep": "site, package",
    "secagg.protocol.step.Add": "site, vector",
    "secagg.protocol.step.Learned": "round, survivors, total, root",
    "secagg.protocol.coordinator_setup.announce": "plan, inputs",
    "secagg.identity.Identity": "seed",
    "secagg.params.Floors": "*, profile, sites, survivors, colluders_one_in",
    "secagg.params.Segment": "*, count, clip, step, beyond, rounding, rotation",
    "secagg.params.Schema": "*, ring_bits, mac_lanes, segments",
    "secagg.params.ring_bits_for": "bound, parties",
    "secagg.params.mac_lanes_for": "ring_bits",
    "secagg.quantize.Quantizer": "clip, value_bits, parties, *, rounding, rotation",
    "secagg.quantize.Coins": "rotation, rounding",
    "secagg.weighted.WeightedMean": "*, clip, cap, value_bits",
    "secagg.weighted.Weighted": "vector, clipped",
    "secagg.masks.add_keystream": "acc, key, *, negate, start",
    "secagg.shamir.split": "secret, *, threshold, holders, rand",
    "secagg.shamir.combine": "shares, threshold",
    "secagg.packing.pack": "lanes, bits",
    "secagg.packing.unpack": "data, bits, count",
}


def test_the_table_is_read():
    assert sum(map(len, LISTED.values())) > 60


@pytest.mark.parametrize("module", LISTED)
def test_every_stable_name_is_there(module):
    assert [name for name in LISTED[module] if not hasattr(import_module(module), name)] == []


def test_signatures_are_of_stable_names():
    known = {f"{module}.{name}" for module, names in LISTED.items() for name in names}
    assert set(SIGNATURES) <= known


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_what_they_were(name):
    """New ones may come, if nobody has to give them."""
    module, _, own = name.rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), own)).parameters.values()
    positional, _, keyword = SIGNATURES[name].partition("*")
    known = [[one for one in re.split(r"[, ]+", part) if one] for part in (positional, keyword)]
    there = [
        [one.name for one in parameters if (one.kind is one.KEYWORD_ONLY) is by_keyword] for by_keyword in (False, True)
    ]
    assert there[0][: len(known[0])] == known[0]
    assert set(known[1]) <= set(there[1])
    added = set(there[0] + there[1]) - set(known[0] + known[1])
    assert [one.name for one in parameters if one.name in added and one.default is one.empty] == []
