"""Values of every record, and encodings that a decoder must refuse.

Spec: 01-wire §1, §6.
"""

from collections.abc import Callable
from typing import Any

from specs.ref.frames import parse
from specs.ref.hashes import Refused, sha256, u32
from specs.ref.wire import RECORDS, decode, encode


def octets(name: str, length: int = 32) -> bytes:
    """Arbitrary bytes, always the same for a name."""
    return b"".join(sha256(f"{name} {i}".encode()) for i in range((length + 31) // 32))[:length]


def refusal(act: Callable[..., Any], *arguments: Any) -> str:
    """The rule by which the reference refuses."""
    try:
        act(*arguments)
    except Refused as verdict:
        return str(verdict)
    raise AssertionError("not refused")


_frame = {
    "version": 1, "kind": 2, "epoch": octets("epoch"), "transcript": octets("transcript"), "round": 0,
    "sender": 3, "recipient": 0, "body": octets("body"), "signature": octets("signature", 64),
}  # fmt: skip
_listing = {"senders": [3], "frames": [_frame], "siblings": []}
_nobody: dict[str, Any] = {"senders": [], "frames": [], "siblings": []}
_segment = {"count": 7, "clip": 16.0, "step": 0.125, "beyond": 1, "rounding": 1, "rotation": 0}
_schema = {
    "ring_bits": 20,
    "mac_lanes": 2,
    "segments": [_segment, _segment | {"clip": 1e-300, "beyond": 2, "rounding": 2, "rotation": 16}],
}
_slot = {"sealed": octets("sealed", 144), "edges": [octets("edge")], "leaves": [octets("leaf 0"), octets("leaf 1")]}
_own_slot = {"sealed": b"", "edges": [], "leaves": [octets("leaf 0"), octets("leaf 1")]}
_manifest = {
    "suite": 1, "profile": 2, "loss_rule": 3, "project": octets("project", 16), "roster": octets("roster"),
    "run": octets("run", 16), "epoch": 1, "first_round": 1, "rounds": 4096, "threshold": 3, "colluders": 1,
    "survivors": 3, "slack": 0, "setup_deadline": 2**63, "expires": 2**64 - 1, "max_lanes": 1 << 30,
    "max_ring_bits": 64, "degree": 0, "privacy": b"", "coordinator": octets("c"), "coordinator_curve": octets("C"),
    "sites": [octets("site 1"), octets("site 2"), octets("site 3")],
}  # fmt: skip
_ciphertext = octets("ciphertext", 1088)
_prekeys = {
    "nonce": octets("nonce"), "curve": octets("curve"), "kem": octets("kem", 1184),
    "self_commitments": [octets("b")], "mac_commitment": octets("kappa"),
}  # fmt: skip

SAMPLES: dict[str, list[dict[str, Any]]] = {
    "Frame": [_frame, _frame | {"round": 2**32 - 1, "sender": 0, "recipient": 65_535, "body": b""}],
    "Roster": [
        {"project": octets("p", 16), "terms": octets("t"), "coordinator": octets("c"), "sites": _manifest["sites"]},
        {"project": bytes(16), "terms": bytes(32), "coordinator": bytes(32), "sites": []},
    ],
    "Schema": [_schema, {"ring_bits": 64, "mac_lanes": 0, "segments": []}],
    "Segment": [
        _segment,
        {"count": 2**32 - 1, "clip": 0.0, "step": 5e-324, "beyond": 2, "rounding": 2, "rotation": 255},
    ],
    "EncapsulationPackage": [{"slots": {2: _ciphertext, 65_534: _ciphertext}}, {"slots": {}}],
    "EncapsulationSlot": [{"ciphertext": _ciphertext, "path": [octets("node")] * 17}],
    "SharePackage": [{"vaults": [octets("vault", 144), b""], "slots": {1: _own_slot, 2: _slot}}],
    "ShareSlot": [_slot, _own_slot],
    "ProvenShareSlot": [{"slot": _slot, "path": [octets("node")]}],
    "Manifest": [_manifest, _manifest | {"privacy": b"reserved", "degree": 2, "sites": []}],
    "Join": [{"nonce_commitment": octets("nonce")}],
    "Listing": [
        {"senders": [3, 4], "frames": [_frame, _frame | {"sender": 4}], "siblings": []},
        {"senders": [1, 3, 65_534], "frames": [_frame], "siblings": [octets("node 0"), octets("node 1")]},
        _nobody,
    ],
    "Cohort": [{"joins": _listing, "nonces": octets("nonces")}, {"joins": _nobody, "nonces": octets("nonces")}],
    "Prekeys": [_prekeys],
    "PrekeyList": [{"prekeys": _listing, "ciphertext": _ciphertext}],
    "Encapsulations": [{"root": octets("root")}],
    "EncapsulationList": [{"headers": _listing, "slots": {1: {"ciphertext": _ciphertext, "path": []}}}],
    "Shares": [
        {
            "vault_hashes": [octets("vault")], "vault_commitments": [octets("e")],
            "channel_confirmation": octets("channel"), "root": octets("root"),
        },
    ],
    "ShareList": [{"headers": _listing, "slots": {1: {"slot": _slot, "path": [octets("node")]}}}],
    "Receipt": [{"accepted": [1, 2, 65_534], "refused": {3: 409, 4: 412}}, {"accepted": [], "refused": {}}],
    "Ready": [{"receipts": _listing}],
    "Open": [
        {"salt": octets("salt"), "query": b"query", "schema": _schema, "deadline": 1_900_000_000, "roster": [1, 3]},
    ],
    "Decline": [{"reason": "too few rows ~"}, {"reason": " " * 200}, {"reason": ""}],
    "Upload": [{"context": octets("ctx"), "root": octets("root")}],
    "Survivors": [{"uploads": _listing}],
    "Consistency": [{"statement": octets("statement")}],
    "Quorum": [{"signatures": [_frame]}],
    "Unmask": [{"shares": {1: octets("share 1"), 2: octets("share 2")}}],
    "Result": [{"statement": octets("statement"), "root": octets("root"), "key": octets("key")}],
    "SealedShares": [{"statement": octets("statement"), "sealed": octets("shares", 48)}],
    "Opening": [
        {
            "statement": octets("statement"), "root": octets("root"), "key": octets("key"), "answers": [_frame],
            "vaults": {4: octets("vault", 144)},
        },
        {"statement": octets("statement"), "root": octets("root"), "key": octets("key"), "answers": [], "vaults": {}},
    ],
    "Opened": [{"statement": octets("statement"), "root": octets("root"), "key": octets("key")}],
}  # fmt: skip


def valid() -> list[dict[str, Any]]:
    return [
        {"record": name, "value": value, "encoding": encode(RECORDS[name], value)}
        for name, values in SAMPLES.items()
        for value in values
    ]


def faulty() -> dict[str, list[dict[str, Any]]]:
    """By fault: a record's name, and bytes that are not a valid encoding."""

    def put(name: str, at: int, new: bytes, sample: int = 0) -> tuple[str, bytes]:
        data = encode(RECORDS[name], SAMPLES[name][sample])
        return name, data[:at] + new + data[at + len(new) :]

    whole = {name: encode(RECORDS[name], values[0]) for name, values in SAMPLES.items()}
    not_a_number, infinity, minus_zero = b"\x7f\xf8" + bytes(6), b"\xff\xf0" + bytes(6), b"\x80" + bytes(7)
    faults = {
        "empty": [(name, b"") for name in whole],
        "truncated": [(name, data[:-1]) for name, data in whole.items()],
        "length_beyond_the_end": [("Decline", u32(200) + b"too short"), ("Cohort", u32(1))],
        "trailing_bytes": [(name, data + b"\0") for name, data in whole.items()],
        "count_over_limit": [
            ("Cohort", u32(65_535)),
            ("Receipt", u32(65_535)),
            ("Unmask", u32(2**32 - 1)),
            put("Roster", 80, u32(65_535)),
            put("Prekeys", 32 + 32 + 1184, u32(4097)),
            put("EncapsulationSlot", 1088, u32(18)),
            ("SharePackage", u32(4097)),
            put("ShareSlot", 4 + 144 + 4 + 32, u32(8193)),
            put("Schema", 2, u32(4097)),
        ],
        "length_over_limit": [
            ("Decline", u32(201) + b" " * 201),
            ("ShareSlot", u32(262_193)),
            put("Frame", 74, u32((4 << 20) + 1)),
            put("Open", 32, u32((1 << 20) + 1)),
            put("Manifest", 3 + 16 + 32 + 16 + 12 + 8 + 16 + 4 + 1 + 2, u32(4097)),
        ],
        "unknown_choice": [
            put("Manifest", 0, b"\0"),
            put("Manifest", 0, b"\3"),
            put("Manifest", 1, b"\3"),
            put("Manifest", 2, b"\4"),
            put("Segment", 20, b"\0"),
            put("Segment", 20, b"\3"),
        ],
        "not_finite": [put("Segment", 4, not_a_number), put("Segment", 12, infinity)],
        "minus_zero": [put("Segment", 4, minus_zero), put("Segment", 12, minus_zero)],
        "text_not_printable": [("Decline", u32(1) + bytes([c])) for c in (0x00, 0x0A, 0x1F, 0x7F, 0x80, 0xFF)],
        "set_not_ascending": [
            put("Receipt", 4, bytes([0, 2, 0, 1])),
            put("Open", len(whole["Open"]) - 4, bytes([0, 3, 0, 1])),
            put("Listing", 4, bytes([0, 4, 0, 3])),
        ],
        "set_with_a_repetition": [put("Receipt", 4, bytes([0, 2, 0, 2]))],
        "map_not_ascending": [
            put("Unmask", 4, bytes([0, 3])),
            put("Receipt", 4 + 6 + 4, bytes([0, 5])),
            put("SharePackage", 4 + 4 + 144 + 4 + 4, bytes([0, 3])),
            put("EncapsulationPackage", 4, bytes([255, 255])),
        ],
        "map_with_a_repetition": [put("Unmask", 4, bytes([0, 2]))],
        "frame_of_another_version": [put("Frame", 0, b"\0"), put("Frame", 0, b"\2")],
        "frame_of_unknown_kind": [put("Frame", 1, bytes([kind])) for kind in (0, 12, 15, 27, 255)],
    }
    return {
        fault: [
            {"record": name, "encoding": data, "check": refusal(parse if "frame_of" in fault else _read, data, name)}
            for name, data in cases
        ]
        for fault, cases in faults.items()
    }


def _read(data: bytes, name: str) -> None:
    decode(RECORDS[name], data)
