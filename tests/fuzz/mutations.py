"""Changes to valid messages: bytes flipped, cut, added or spliced, false lengths, fields with unexpected values.

Every change comes from one generator, so that a case can be repeated from its seed.
"""

import random  # noqa: TID251 changes are to be repeatable, not secret
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from enum import IntEnum
from typing import Any

from secagg.codec import Record
from secagg.envelope import Frame
from tests.support.records import closed, opened

Random = random.Random
Sign = Callable[[Frame], Frame]

INTEGERS = (0, 1, 2, 3, 7, 255, 256, 2**15, 2**16 - 2, 2**16 - 1, 2**16, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1)
REALS = (0.0, 1.0, -1.0, 5e-324, 1e-300, 2.0**62, 1e300, 1.7976931348623157e308, 0.1)
TEXTS = ("", "x", "x" * 200, "~ !")


def changed_bytes(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return the bytes with one to three changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice((_flip, _truncate, _extend, _splice, _lie, _overwrite, _repeat))(rng, data, others)
    return data


def _flip(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _truncate(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _extend(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    return data + rng.randbytes(rng.choice((1, 2, 4, 32, 1000)))


def _splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _lie(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    """Write a count or length that is not so."""
    at = rng.randrange(max(1, len(data) - 3))
    return data[:at] + rng.choice(INTEGERS[:13]).to_bytes(4, "big") + data[at + 4 :]


def _overwrite(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at, size = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8, 32))
    return data[:at] + bytes([rng.choice((0, 0x7F, 0x80, 0xFF))]) * size + data[at + size :]


def _repeat(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at, size = rng.randrange(len(data) + 1), rng.choice((1, 4, 32, 64))
    return data[: at + size] + data[at:]


def changed_record(rng: Random, record: Record, sign: Sign) -> Record:
    """Return the record with one field, however deep, that is valid by its type and wrong by its meaning."""
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]
    if not names:
        return record
    name = rng.choice(names)
    value = _changed(rng, opened(record, name), sign)
    result = replace(record, **{name: closed(record, name, value)})
    return sign(result) if isinstance(result, Frame) else result


def _changed(rng: Random, value: Any, sign: Sign) -> Any:
    match value:
        case IntEnum():
            return rng.choice(list(type(value)))
        case bool():
            return not value
        case int():
            return rng.choice((*INTEGERS, value + 1, max(0, value - 1)))
        case float():
            return rng.choice((*REALS, value * 2, value / 2))
        case str():
            return rng.choice(TEXTS)
        case bytes():
            return rng.choice((changed_bytes(rng, value, [value]), rng.randbytes(len(value)), bytes(len(value)), b""))
        case Record():
            return changed_record(rng, value, sign)
        case tuple():
            return _changed_items(rng, list(value), sign)
        case Mapping():
            return dict(_changed_items(rng, list(value.items()), sign))
    return value


def _changed_items(rng: Random, items: list[Any], sign: Sign) -> tuple[Any, ...]:
    at = rng.randrange(len(items)) if items else 0
    what = rng.randrange(7)
    if not items or what == 0:
        return ()
    if what == 1:
        del items[at]
    elif what == 2:
        items.insert(rng.randrange(len(items) + 1), items[at])
    elif what == 3:
        items.reverse()
    elif what == 4:
        items = items[: at + 1]
    elif isinstance(items[at], tuple) and len(items[at]) == 2:
        key, value = items[at]
        items[at] = (rng.choice(INTEGERS[:11]), value) if what == 5 else (key, _changed(rng, value, sign))
    else:
        items[at] = _changed(rng, items[at], sign)
    return tuple(items)
