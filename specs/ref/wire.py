"""The codec: forms, records, strict decoding.

Spec: 01-wire §1 and its tables. A record's value is a dict of its fields.
"""

import math
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from specs.ref.hashes import check, u32

MANY = 65_534  # sites, and anything that exists once per site


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        check(self.at + count <= len(self.data), "V-0101")
        self.at += count
        return self.data[self.at - count : self.at]

    def count(self, limit: int) -> int:
        count = int.from_bytes(self.take(4), "big")
        check(count <= limit, "V-0103")
        return count


class Form(NamedTuple):
    put: Callable[[Any], bytes]
    get: Callable[[Reader], Any]


def encode(form: Form, value: Any) -> bytes:
    return form.put(value)


def decode(form: Form, data: bytes) -> Any:
    reader = Reader(data)
    value = form.get(reader)
    check(reader.at == len(data), "V-0102")
    return value


def _uint(width: int) -> Form:
    return Form(lambda x: x.to_bytes(width, "big"), lambda r: int.from_bytes(r.take(width), "big"))


def _raw(length: int) -> Form:
    return Form(bytes, lambda r: r.take(length))


def _data(limit: int) -> Form:
    return Form(lambda x: u32(len(x)) + x, lambda r: r.take(r.count(limit)))


def _text(limit: int) -> Form:
    def get(reader: Reader) -> str:
        data = reader.take(reader.count(limit))
        check(all(0x20 <= c <= 0x7E for c in data), "V-0104")
        return data.decode("ascii")

    return Form(lambda x: u32(len(x)) + x.encode("ascii"), get)


def _one_of(*values: int) -> Form:
    def get(reader: Reader) -> int:
        value = reader.take(1)[0]
        check(value in values, "V-0104")
        return value

    return Form(lambda x: bytes([x]), get)


def _f64() -> Form:
    def get(reader: Reader) -> float:
        data = reader.take(8)
        (value,) = struct.unpack(">d", data)
        check(math.isfinite(value) and data != bytes([0x80]) + bytes(7), "V-0104")
        return value

    return Form(lambda x: struct.pack(">d", x), get)


def _list(item: Form, limit: int = MANY) -> Form:
    return Form(
        lambda xs: u32(len(xs)) + b"".join(item.put(x) for x in xs),
        lambda r: [item.get(r) for _ in range(r.count(limit))],
    )


def _ascending(reader: Reader, limit: int, item: Callable[[], Any]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for _ in range(reader.count(limit)):
        key = U16.get(reader)
        check(not found or key > max(found), "V-0105")
        found[key] = item()
    return found


def _map(item: Form, limit: int = MANY) -> Form:
    return Form(
        lambda x: u32(len(x)) + b"".join(U16.put(key) + item.put(x[key]) for key in sorted(x)),
        lambda r: _ascending(r, limit, lambda: item.get(r)),
    )


def _set(limit: int = MANY) -> Form:
    return Form(
        lambda xs: u32(len(xs)) + b"".join(U16.put(x) for x in sorted(xs)),
        lambda r: list(_ascending(r, limit, lambda: None)),
    )


def _record(**fields: Form) -> Form:
    return Form(
        lambda x: b"".join(form.put(x[name]) for name, form in fields.items()),
        lambda r: {name: form.get(r) for name, form in fields.items()},
    )


U8, U16, U32, U64, F64 = _uint(1), _uint(2), _uint(4), _uint(8), _f64()
B16, B32, CT = _raw(16), _raw(32), _raw(1088)

_header = {
    "version": U8, "kind": U8, "epoch": B32, "transcript": B32, "round": U32, "sender": U16, "recipient": U16,
}  # fmt: skip
HEADER = _record(**_header)
FRAME = _record(**_header, body=_data(4 << 20), signature=_raw(64))
_frames = _list(FRAME)
LISTING = _record(senders=_set(), frames=_frames, siblings=_list(B32))

SEGMENT = _record(count=U32, clip=F64, step=F64, beyond=_one_of(1, 2), rounding=_one_of(1, 2), rotation=U8)
SCHEMA = _record(ring_bits=U8, mac_lanes=U8, segments=_list(SEGMENT, 4096))
ENCAPSULATION_SLOT = _record(ciphertext=CT, path=_list(B32, 17))
SHARE_SLOT = _record(sealed=_data(262_192), edges=_list(B32, 4096), leaves=_list(B32, 8192))
PROVEN_SHARE_SLOT = _record(slot=SHARE_SLOT, path=_list(B32, 17))

RECORDS = {
    "Frame": FRAME,
    "Roster": _record(project=B16, terms=B32, coordinator=B32, sites=_list(B32)),
    "Schema": SCHEMA,
    "Segment": SEGMENT,
    "Listing": LISTING,
    "EncapsulationPackage": _record(slots=_map(CT)),
    "EncapsulationSlot": ENCAPSULATION_SLOT,
    "SharePackage": _record(vaults=_list(_data(4 << 20), 4096), slots=_map(SHARE_SLOT)),
    "ShareSlot": SHARE_SLOT,
    "ProvenShareSlot": PROVEN_SHARE_SLOT,
    "Manifest": _record(
        suite=_one_of(1, 2), profile=_one_of(1, 2), loss_rule=_one_of(1, 2, 3), project=B16, roster=B32, run=B16,
        epoch=U32, first_round=U32, rounds=U32, threshold=U16, colluders=U16, survivors=U16, slack=U16,
        setup_deadline=U64, expires=U64, max_lanes=U32, max_ring_bits=U8, degree=U16, privacy=_data(4096),
        coordinator=B32, coordinator_curve=B32, sites=_list(B32),
    ),
    "Join": _record(nonce_commitment=B32),
    "Cohort": _record(joins=LISTING, nonces=B32),
    "Prekeys": _record(
        nonce=B32, curve=B32, kem=_raw(1184), self_commitments=_list(B32, 4096), mac_commitment=B32
    ),
    "PrekeyList": _record(prekeys=LISTING, ciphertext=CT),
    "Encapsulations": _record(root=B32),
    "EncapsulationList": _record(headers=LISTING, slots=_map(ENCAPSULATION_SLOT)),
    "Shares": _record(
        vault_hashes=_list(B32, 4096), vault_commitments=_list(B32, 4096), channel_confirmation=B32, root=B32
    ),
    "ShareList": _record(headers=LISTING, slots=_map(PROVEN_SHARE_SLOT)),
    "Receipt": _record(accepted=_set(), refused=_map(U16)),
    "Ready": _record(receipts=LISTING),
    "Open": _record(salt=B32, query=_data(1 << 20), schema=SCHEMA, deadline=U64, roster=_set()),
    "Decline": _record(reason=_text(200)),
    "Upload": _record(context=B32, root=B32),
    "Survivors": _record(uploads=LISTING),
    "Consistency": _record(statement=B32),
    "Quorum": _record(signatures=_frames),
    "Unmask": _record(shares=_map(B32)),
    "Result": _record(statement=B32, root=B32, key=B32),
    "SealedShares": _record(statement=B32, sealed=_data(65_534 * 32 + 16)),
    "Opening": _record(statement=B32, root=B32, key=B32, answers=_frames, vaults=_map(_data(4 << 20))),
    "Opened": _record(statement=B32, root=B32, key=B32),
}  # fmt: skip

KINDS = {
    "Manifest": 1, "Join": 2, "Cohort": 3, "Prekeys": 4, "PrekeyList": 5, "Encapsulations": 6, "EncapsulationList": 7,
    "Shares": 8, "ShareList": 9, "Receipt": 10, "Ready": 11, "Open": 16, "Decline": 17, "Upload": 18, "Survivors": 19,
    "Consistency": 20, "Quorum": 21, "Unmask": 22, "Result": 23, "SealedShares": 24, "Opening": 25, "Opened": 26,
}  # fmt: skip
SEALED = {"Open", "Decline", "Unmask", "Result", "Opening", "Opened"}
