"""AES-256-CTR keystream made in vector registers and added to lanes there, so that it never touches memory.

Spec: 02-protocol §4. The cipher's rounds are the processor's own instructions, which LLVM exposes as intrinsics:
constant time, no tables. A group is eight vectors in flight, enough to hide the latency of a round. FIPS 197 names the
steps.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, int64, uint8, uint32, uint64, void
from numba.core import types
from numba.extending import intrinsic, register_jitable
from numpy.typing import NDArray

from secagg.kernels._jit import kernel, readonly
from secagg.kernels.target import AES_VECTOR_BITS

U32Array = NDArray[np.uint32]

ROUND_KEYS = 15
_IN_FLIGHT = 8
_PIECE = 1 << 14  # bytes: lanes stay in the first-level cache while every mask of a list is added to them
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_ONE_BLOCK = ir.VectorType(_I64, 2)


if not AES_VECTOR_BITS:
    raise ImportError("there are no AES instructions that Numba may use here; secagg.masks takes OpenSSL's then")
_BLOCKS = AES_VECTOR_BITS // 128  # in a vector
_GROUP = 16 * _BLOCKS * _IN_FLIGHT  # bytes
_VECTOR = ir.VectorType(_I64, 2 * _BLOCKS)


def _call(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """Emit a call of one of LLVM's intrinsics that take and give one type."""
    known = builder.module.globals.get(name)
    kind = ir.FunctionType(args[0].type, [arg.type for arg in args])
    return builder.call(known or ir.Function(builder.module, kind, name), args)


def _counters(builder: ir.IRBuilder, block: ir.Value) -> list[ir.Value]:
    """Emit a group of counter blocks: 128 bits, big-endian, the upper half zero, from the block's number on."""
    none = ir.Constant(_VECTOR, ir.Undefined)
    everywhere = ir.Constant(ir.VectorType(_I32, 2 * _BLOCKS), [0] * (2 * _BLOCKS))
    first = builder.shuffle_vector(builder.insert_element(none, block, _I32(0)), none, everywhere)
    first = builder.and_(first, ir.Constant(_VECTOR, [0, 2**64 - 1] * _BLOCKS))
    offsets = [[x for i in range(_BLOCKS) for x in (0, v * _BLOCKS + i)] for v in range(_IN_FLIGHT)]
    little = [builder.add(first, ir.Constant(_VECTOR, offset)) for offset in offsets]
    return [_call(builder, f"llvm.bswap.v{2 * _BLOCKS}i64", counter) for counter in little]


def _encrypted(builder: ir.IRBuilder, states: list[ir.Value], schedule: ir.Value) -> list[ir.Value]:
    """Emit AES-256 on every block of the vectors, under the round keys that `schedule` points to."""
    suffix = {1: "", 2: ".256", 4: ".512"}[_BLOCKS]
    every_block = ir.Constant(ir.VectorType(_I32, 2 * _BLOCKS), [0, 1] * _BLOCKS)
    for number in range(ROUND_KEYS):
        key = builder.load(builder.gep(schedule, [_I64(number)]), align=4)
        key = builder.shuffle_vector(key, key, every_block)
        if number == 0:
            states = [builder.xor(state, key) for state in states]
        else:
            name = "llvm.x86.aesni.aesenc" + ("last" if number == ROUND_KEYS - 1 else "") + suffix
            states = [_call(builder, name, state, key) for state in states]
    return states


def _address(context: Any, builder: ir.IRBuilder, array: Any, value: ir.Value, at: ir.Value, to: ir.Type) -> ir.Value:
    """Emit a pointer to element `at` of an array's memory, as one to `to`."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [at]), to.as_pointer())


def _combine_group(operation: str) -> Any:
    """Return the intrinsic that adds ("add") or subtracts ("sub") one group of keystream.

    Its arguments: lanes and the index from which they are changed; schedules and the row whose key it is; the number of
    the first block.
    """

    def combine(_typing: Any, lanes: Any, _at: Any, schedules: Any, _row: Any, _block: Any) -> Any:
        def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: tuple[ir.Value, ...]) -> None:
            row = builder.mul(args[3], ir.Constant(args[3].type, 4 * ROUND_KEYS))
            schedule = _address(context, builder, schedules, args[2], row, _ONE_BLOCK)
            vector = ir.VectorType(ir.IntType(lanes.dtype.bitwidth), 128 * _BLOCKS // lanes.dtype.bitwidth)
            begin = _address(context, builder, lanes, args[0], args[1], vector)
            for v, keystream in enumerate(_encrypted(builder, _counters(builder, args[4]), schedule)):
                place = builder.gep(begin, [_I64(v)])
                masked = getattr(builder, operation)(builder.load(place, align=1), builder.bitcast(keystream, vector))
                builder.store(masked, place, align=1)

        return void(lanes, types.intp, schedules, types.intp, uint64), emit

    return intrinsic(combine)


_add, _subtract = _combine_group("add"), _combine_group("sub")


def _substitute_word(_typing: Any, word: Any) -> Any:
    """Return SubWord: the last round under key 0, of four equal columns, whose rows shift into themselves."""

    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: tuple[ir.Value]) -> ir.Value:
        columns = ir.VectorType(_I32, 4)
        state = ir.Constant(columns, ir.Undefined)
        for i in range(4):
            state = builder.insert_element(state, args[0], _I32(i))
        state = builder.bitcast(state, _ONE_BLOCK)
        state = _call(builder, "llvm.x86.aesni.aesenclast", state, ir.Constant(_ONE_BLOCK, [0, 0]))
        return builder.extract_element(builder.bitcast(state, columns), _I32(0))

    return uint32(word), emit


_substitute: Any = intrinsic(_substitute_word)


@register_jitable
def _expanded(keys: U32Array) -> U32Array:
    """Return the round keys (FIPS 197, 5.2) of each row of `keys`, (k, 8) little-endian words, as (k, 60)."""
    schedules = np.empty((keys.shape[0], 4 * ROUND_KEYS), np.uint32)
    for row in range(keys.shape[0]):
        for i in range(8):
            schedules[row, i] = keys[row, i]
        for i in range(8, 4 * ROUND_KEYS):
            word = schedules[row, i - 1]
            if i % 8 == 0:
                word = _substitute(uint32(word >> uint32(8) | word << uint32(24))) ^ uint32(1 << (i // 8 - 1))
            elif i % 8 == 4:
                word = _substitute(word)
            schedules[row, i] = schedules[row, i - 8] ^ word
    return schedules


def _accumulate(lanes: Any, start: int, keys: U32Array, negate: NDArray[np.uint8]) -> None:
    """Add one keystream per row of `keys` to `lanes` in place, or subtract it where `negate` is not 0.

    Shape: lanes (m,) uint32 or uint64, keys (k, 8) little-endian words, negate (k,). `start` is the stream's lane that
    lanes[0] is; start + m < 2^63. Groups are aligned in the stream, so that what stands before the first whole group
    and behind the last goes through a buffer of one group.
    """
    schedules = _expanded(keys)
    width = lanes.itemsize
    group = _GROUP // width
    edge = np.zeros(group, lanes.dtype)
    at = 0
    while at < lanes.shape[0]:
        inside = (start + at) % group  # lanes of the first group that are not ours
        first = uint64((start + at - inside) // (16 // width))
        left = lanes.shape[0] - at
        whole = inside == 0 and left >= group
        if whole:
            place, begin, groups = lanes, at, min(_PIECE // width, left) // group
            end = at + groups * group
        else:
            place, begin, groups = edge, 0, 1
            end = at + min(group - inside, left)
            for i in range(at, end):
                edge[inside + i - at] = lanes[i]
        for row in range(schedules.shape[0]):
            for i in range(groups):
                block = first + uint64(i * (_GROUP // 16))
                if negate[row]:
                    _subtract(place, begin + i * group, schedules, row, block)
                else:
                    _add(place, begin + i * group, schedules, row, block)
        if not whole:
            for i in range(at, end):
                lanes[i] = edge[inside + i - at]
        at = end


@cache
def accumulate(dtype: "np.dtype[Any]") -> Callable[[Any, int, U32Array, NDArray[np.uint8]], None]:
    """Return the kernel for lanes of uint32 or uint64; each is compiled when it is first asked for."""
    lanes = from_dtype(dtype)[::1]
    return kernel(void(lanes, int64, readonly(uint32, 2), readonly(uint8)))(_accumulate)
