"""How fast are the inner loops, compared with the machine's own libraries?"""

import os

import numpy as np

from bench.machine import describe
from bench.measure import Row, interleaved
from bench.workers.pipe import Worker
from secagg import packing, shamir

_MIB = 1 << 20


def rows() -> list[Row]:
    best = 2.5 if "vaes" in describe()["features"] else 0.75
    return [
        _keystream("", best),
        _keystream(", portable path", 0.75, NUMBA_CPU_NAME="generic"),
        _shamir(),
        _packing(),
    ]


def _keystream(path: str, least: float, **environment: str) -> Row:
    """Time keystream and addition over 1 MiB of 32-bit lanes, against OpenSSL's keystream alone, on one core."""
    with Worker("ours", **environment) as ours:
        seconds = ours("keystream", size=_MIB)
    ratio = seconds["openssl"] / seconds["ours"]
    return Row(
        f"add_keystream, 1 MiB of uint32{path}",
        f">= {least} x OpenSSL's bare AES-256-CTR",
        f"{ratio:.2f} x ({_MIB / seconds['ours'] / 1e9:.1f} GB/s; OpenSSL {_MIB / seconds['openssl'] / 1e9:.1f} GB/s)",
        ratio >= least,
        {**seconds, "ratio": ratio},
    )


def _shamir() -> Row:
    """Time splitting a 64-byte secret among 100 holders, threshold 67, and combining it."""
    secret, rand, holders = os.urandom(64), os.urandom(32), range(1, 101)
    shares = dict(zip(holders, shamir.split(secret, threshold=67, holders=holders, rand=rand), strict=True))
    some = {x: shares[x] for x in range(1, 68)}
    seconds = interleaved(
        {
            "split": lambda: shamir.split(secret, threshold=67, holders=holders, rand=rand),
            "combine": lambda: shamir.combine(some, 67),
        },
        repetitions=100,
        warm=10,
    )
    return Row(
        "Shamir, 64-byte secret, n = 100, t = 67",
        "",
        f"split {seconds['split'] * 1e3:.2f} ms, combine {seconds['combine'] * 1e3:.2f} ms",
        None,
    )


def _packing(count: int = 10**6) -> Row:
    """Time the packing of 28-bit elements."""
    lanes = np.frombuffer(os.urandom(4 * count), np.uint32)
    packed = packing.pack(lanes, 28)
    seconds = interleaved(
        {"pack": lambda: packing.pack(lanes, 28), "unpack": lambda: packing.unpack(packed, 28, len(lanes))},
        repetitions=20,
    )
    return Row(
        f"packing, {count:,} elements of 28 bits",
        "",
        f"pack {seconds['pack'] * 1e3:.1f} ms, unpack {seconds['unpack'] * 1e3:.1f} ms",
        None,
    )
