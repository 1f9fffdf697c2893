"""Every record reads and writes the reference's encodings, and refuses its faulty ones with the same check."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import pytest

from secagg import envelope, identity, params
from secagg.codec import Record, layout
from secagg.errors import DecodeError
from secagg.messages import (
    MESSAGES,
    EncapsulationPackage,
    EncapsulationSlot,
    Listing,
    ProvenShareSlot,
    SharePackage,
    ShareSlot,
)
from secagg.params import Floors
from secagg.protocol.participant_setup import Outside
from secagg.protocol.step import StepInputs
from secagg.protocol.table import receive
from tests.support.records import opened
from tests.vectors.files import FOLDER, load

PARTS = (Listing, EncapsulationPackage, EncapsulationSlot, ProvenShareSlot, SharePackage, ShareSlot)
OTHERS = (envelope.Frame, identity.Roster, params.Schema, params.Segment)
RECORDS: dict[str, type[Record]] = {kind.__name__: kind for kind in (*MESSAGES.values(), *PARTS, *OTHERS)}
FAULTS = sorted(path.stem for path in (FOLDER / "refused").glob("*.json"))


def plain(value: Any) -> Any:
    """A record as the vectors write it."""
    if isinstance(value, Record):
        return {name: plain(opened(value, name)) for name, _ in layout(type(value))}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, IntEnum) else value


def test_every_record_has_a_vector():
    assert {case["record"] for case in load("codec")} == set(RECORDS)


@pytest.mark.parametrize("case", load("codec"), ids=lambda case: case["record"])
def test_encodings(case):
    data = bytes.fromhex(case["encoding"])
    decoded = RECORDS[case["record"]].decode(data)
    assert plain(decoded) == case["value"]
    assert decoded.encode() == data


@pytest.mark.parametrize("fault", FAULTS)
def test_refused_encodings(fault):
    for case in load(f"refused/{fault}"):
        with pytest.raises(DecodeError) as refused:
            read(fault, RECORDS[case["record"]], bytes.fromhex(case["encoding"]))
        assert refused.value.check == case["check"], case


def read(fault: str, kind: type[Record], data: bytes) -> None:
    """Versions and kinds are read by whoever takes a frame, all else by the record."""
    if fault.startswith("frame_of"):
        roster = identity.Roster(project=bytes(16), terms=bytes(32), coordinator=bytes(32), sites=())
        state = Outside(roster=roster, run=bytes(16), floors=Floors(), last_epoch=0, survivors=())
        receive(state, data, StepInputs(identity.Identity(bytes(32)), bytes(32)))
    else:
        kind.decode(data)
