"""The vector of a round: fixed point, packing, chunks, masks, lanes.

Spec: 01-wire §5, 02-protocol §4. A vector is (elements, lanes): two lists of integers.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from specs.ref.hashes import LP, check, merkle_root, tag, u32
from specs.ref.keys import keystream, seal, unseal

CHUNK = 65_536
Vector = tuple[list[int], list[int]]


def levels(clip: float, step: float) -> int:
    return round(clip / step)  # Python's round goes to even


def quantise(x: float, clip: float, step: float, beyond: int) -> tuple[int, bool]:
    """The integer for x, and whether it was moved to the limit."""
    check(math.isfinite(x), "not finite")
    limit, scaled = levels(clip, step), x / step
    # An infinite quotient has no integer; it lies beyond every limit.
    value = round(scaled) if math.isfinite(scaled) else math.copysign(limit + 1, scaled)
    if abs(value) <= limit:
        return int(value), False
    check(beyond == 1, "beyond")
    return (limit if value > 0 else -limit), True


def elements(values: Sequence[float], schema: dict[str, Any]) -> tuple[list[int], int]:
    """Signed integers of a whole vector and how many were clipped."""
    forms = [segment for segment in schema["segments"] for _ in range(segment["count"])]
    pairs = [quantise(x, form["clip"], form["step"], form["beyond"]) for x, form in zip(values, forms, strict=True)]
    return [value for value, _ in pairs], sum(clipped for _, clipped in pairs)


def reals(integers: Sequence[int], schema: dict[str, Any]) -> list[float]:
    """A vector, or a sum of vectors, in the units of its entries."""
    steps = [segment["step"] for segment in schema["segments"] for _ in range(segment["count"])]
    return [x * step for x, step in zip(integers, steps, strict=True)]


def size(schema: dict[str, Any]) -> int:
    return sum(segment["count"] for segment in schema["segments"])


def signed(x: int, bits: int) -> int:
    return x - (1 << bits) if x >> (bits - 1) else x


def pack(values: Sequence[int], bits: int) -> bytes:
    stream = int("".join(f"{value:0{bits}b}" for value in reversed(values)) or "0", 2)
    return stream.to_bytes((len(values) * bits + 7) // 8, "little")


def unpack(data: bytes, count: int, bits: int, rule: str) -> list[int]:
    check(len(data) == (count * bits + 7) // 8, rule)
    stream = int.from_bytes(data, "little")
    check(stream >> (count * bits) == 0, rule)
    text = f"{stream:0{count * bits}b}"
    return [int(text[i - bits : i], 2) for i in range(count * bits, 0, -bits)]


# --- masks and lanes -------------------------------------------------------------------------------------------------


def mask(key: bytes, m: int, lanes: int, bits: int) -> Vector:
    width = 4 if bits <= 32 else 8
    first_lane = 16 * ((m * width + 15) // 16)
    stream = keystream(key, first_lane + 8 * lanes)
    words = (int.from_bytes(stream[i * width : (i + 1) * width], "little") for i in range(m))
    tail = (stream[first_lane + 8 * j : first_lane + 8 * (j + 1)] for j in range(lanes))
    return [word % (1 << bits) for word in words], [int.from_bytes(word, "little") for word in tail]


def add(vectors: Iterable[tuple[int, Vector]], m: int, lanes: int, bits: int) -> Vector:
    """The sum of sign * vector, elements mod 2^b and lanes mod 2^64."""
    total, tail = [0] * m, [0] * lanes
    for sign, (xs, ls) in vectors:
        total = [(a + sign * x) % (1 << bits) for a, x in zip(total, xs, strict=True)]
        tail = [(a + sign * x) % (1 << 64) for a, x in zip(tail, ls, strict=True)]
    return total, tail


def lane(key: bytes, integers: Sequence[int]) -> int:
    """A lane of signed integers."""
    stream = keystream(key, 8 * len(integers))
    rho = (int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(len(integers)))
    return sum(r * x for r, x in zip(rho, integers, strict=True)) % (1 << 64)


# --- chunks ----------------------------------------------------------------------------------------------------------


def chunks(vector: Vector, bits: int) -> list[bytes]:
    xs, lanes = vector
    parts = [pack(xs[i : i + CHUNK], bits) for i in range(0, len(xs), CHUNK)]
    parts[-1] += b"".join(x.to_bytes(8, "little") for x in lanes)
    return parts


def vector_root(vector: Vector, bits: int) -> bytes:
    return merkle_root(chunks(vector, bits))


def _ad(ad: bytes, count: int) -> bytes:
    return tag("vector") + LP(ad, u32(count))


def seal_vector(key: bytes, vector: Vector, bits: int, ad: bytes) -> bytes:
    parts = chunks(vector, bits)
    return b"".join(seal(key, part, _ad(ad, len(parts)), nonce=i) for i, part in enumerate(parts))


def unseal_vector(key: bytes, sealed: bytes, m: int, lanes: int, bits: int, ad: bytes, rule: str) -> Vector:
    count = (m + CHUNK - 1) // CHUNK
    xs: list[int] = []
    for i in range(count):
        k = min(CHUNK, m - i * CHUNK)
        length = (k * bits + 7) // 8 + 16 + (8 * lanes if i == count - 1 else 0)
        part = unseal(key, sealed[:length], _ad(ad, count), rule, nonce=i)
        sealed = sealed[length:]
        packed, tail = part[: (k * bits + 7) // 8], part[(k * bits + 7) // 8 :]
        xs += unpack(packed, k, bits, rule)
    check(not sealed, rule)
    return xs, [int.from_bytes(tail[8 * j : 8 * j + 8], "little") for j in range(lanes)]
