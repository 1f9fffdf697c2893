"""The vector of a round: fixed point, packing, chunks, masks, lanes.

Spec: 01-wire §5, 02-protocol §4. A vector is (elements, lanes): two lists of integers.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from specs.ref.hashes import LP, H, check, merkle_root, tag, u32
from specs.ref.keys import keystream, seal, unseal

CHUNK = 65_536
Vector = tuple[list[int], list[int]]


def levels(clip: float, step: float) -> int:
    return round(clip / step)  # Python rounds ties to even


def bound(segment: dict[str, Any]) -> int:
    """The largest integer of a segment."""
    return levels(segment["clip"], segment["step"]) + (segment["rounding"] == 2)


def quantise(x: float, segment: dict[str, Any], coin: float) -> tuple[int, bool]:
    """The integer for x, and whether it was moved to the clip; `coin` is in [0, 1)."""
    check(math.isfinite(x), "not finite")
    value, moved = _stochastic(x, segment, coin) if segment["rounding"] == 2 else _nearest(x, segment)
    check(not moved or segment["beyond"] == 1, "beyond")
    return value, moved


def _nearest(x: float, segment: dict[str, Any]) -> tuple[int, bool]:
    limit, scaled = levels(segment["clip"], segment["step"]), x / segment["step"]
    # An infinite quotient has no integer; it is beyond every limit.
    value = round(scaled) if math.isfinite(scaled) else math.copysign(limit + 1, scaled)
    return (int(value), False) if abs(value) <= limit else (limit if value > 0 else -limit, True)


def _stochastic(x: float, segment: dict[str, Any], coin: float) -> tuple[int, bool]:
    clip = segment["clip"]
    scaled = min(max(x, -clip), clip) / segment["step"]
    below = math.floor(scaled)
    return below + (coin < scaled - float(below)), abs(x) > clip


def elements(values: Sequence[float], schema: dict[str, Any], ctx: bytes, key: bytes) -> tuple[list[int], int]:
    """Signed integers of a whole vector, and how many were clipped."""
    forms = [segment for segment in schema["segments"] for _ in range(segment["count"])]
    coins = [(word >> 11) / 2**53 for word in _words(key, len(forms), 8)]
    turned = rotate(values, schema, ctx, back=False)
    pairs = [quantise(x, form, coin) for x, form, coin in zip(turned, forms, coins, strict=True)]
    return [value for value, _ in pairs], sum(clipped for _, clipped in pairs)


def reals(integers: Sequence[int], schema: dict[str, Any], ctx: bytes) -> list[float]:
    """A vector, or a sum of vectors, in the units of its entries."""
    steps = [segment["step"] for segment in schema["segments"] for _ in range(segment["count"])]
    return rotate([x * step for x, step in zip(integers, steps, strict=True)], schema, ctx, back=True)


def rotate(values: Sequence[float], schema: dict[str, Any], ctx: bytes, *, back: bool) -> list[float]:
    """The vector with the blocks of its rotated segments rotated, or rotated back."""
    signs = [-1.0 if word % 2 else 1.0 for word in _words(H("rotation", ctx), len(values), 4)]
    result = list(values)
    for start, size in blocks(schema):
        place = slice(start, start + size)
        block = result[place]
        if not back:
            block = [s * x for s, x in zip(signs[place], block, strict=True)]
        block = hadamard(block)
        if back:
            block = [s * x for s, x in zip(signs[place], block, strict=True)]
        result[place] = block
    return result


def blocks(schema: dict[str, Any]) -> list[tuple[int, int]]:
    """Start and size of each block."""
    found, start = [], 0
    for segment in schema["segments"]:
        k, count = segment["rotation"], segment["count"]
        rest = [1 << j for j in reversed(range(k)) if count % (1 << k) >> j & 1]
        sizes = [1 << k] * (count >> k) + rest if k else []
        found += [(start + sum(sizes[:i]), size) for i, size in enumerate(sizes)]
        start += count
    return found


def hadamard(block: Sequence[float]) -> list[float]:
    xs, h = list(block), 1
    while h < len(xs):
        for i in range(len(xs)):
            if not i & h:
                xs[i], xs[i + h] = xs[i] + xs[i + h], xs[i] - xs[i + h]
        h *= 2
    return [x * math.sqrt(1 / len(xs)) for x in xs]


def _words(key: bytes, count: int, width: int) -> list[int]:
    stream = keystream(key, count * width)
    return [int.from_bytes(stream[i : i + width], "little") for i in range(0, len(stream), width)]


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


def presence(sites: Iterable[int], n: int) -> list[int]:
    """What follows the entries in a lane: for each of n sites, 1 if the vector is (or includes) that site's."""
    present = set(sites)
    return [int(u in present) for u in range(1, n + 1)]


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
