"""AES-256-CTR keystream generated in vector registers and added to lanes there, so that it is never written to memory.

Spec: 02-protocol §4. The cipher's rounds are the processor's own instructions, exposed by LLVM as intrinsics: constant
time, no tables of secrets. A group is eight vectors in flight, enough to hide a round's latency. The steps are named as
in FIPS 197.

The 256 blocks of a page share two of the fourteen rounds. While counters stay below 2^40, the first round combines
their last byte only with zero bytes, so it alone decides one column; the second round gives every column one byte of
it.
ShiftRows, MixColumns and AddRoundKey are linear, so after two rounds block 256 p + i has the state T[i] ^ T[0] ^ S(p),
where T are the states of page 0 and S(p) is that of block 256 p. Both are read from public addresses. Method:
counter-mode caching, Bernstein and Schwabe, "New AES software speed records" (2008).
"""

from collections.abc import Callable, Iterable
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

ROUNDS = 14
_IN_FLIGHT = 8
_PAGE = 256  # blocks
_SHARED = 2  # rounds
_WORDS = 4  # of 32 bits in a block
_PIECE = 1 << 16  # bytes: lanes stay in the second-level cache while all masks are added to them
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_ARM = ("aarch64", "arm64")

if not AES_VECTOR_BITS:
    raise ImportError("Numba may not use AES instructions here; secagg.masks uses OpenSSL instead")
_BLOCKS = AES_VECTOR_BITS // 128  # in a vector
_GROUP = _BLOCKS * _IN_FLIGHT  # blocks


# AES-256 as LLVM instructions, for x86-64 and AArch64 --------------------------------------------------------------


def vector_of(blocks: int) -> ir.VectorType:
    return ir.VectorType(_I64, 2 * blocks)


def counters(builder: ir.IRBuilder, block: ir.Value, blocks: int, vectors: int) -> list[ir.Value]:
    """Emit vectors of counter blocks: 128 bits, big-endian, upper half zero, starting at the block's number."""
    kind = vector_of(blocks)
    none = ir.Constant(kind, ir.Undefined)
    everywhere = ir.Constant(ir.VectorType(_I32, 2 * blocks), [0] * (2 * blocks))
    first = builder.shuffle_vector(builder.insert_element(none, block, _I32(0)), none, everywhere)
    first = builder.and_(first, ir.Constant(kind, [0, 2**64 - 1] * blocks))
    offsets = [[x for i in range(blocks) for x in (0, v * blocks + i)] for v in range(vectors)]
    little = [builder.add(first, ir.Constant(kind, offset)) for offset in offsets]
    return [_call(builder, f"llvm.bswap.v{2 * blocks}i64", counter) for counter in little]


def in_every_block(builder: ir.IRBuilder, block: ir.Value, blocks: int) -> ir.Value:
    """Emit a vector that repeats one block."""
    return builder.shuffle_vector(block, block, ir.Constant(ir.VectorType(_I32, 2 * blocks), [0, 1] * blocks))


def advanced(
    builder: ir.IRBuilder, states: list[ir.Value], schedule: ir.Value, rounds: Iterable[int]
) -> list[ir.Value]:
    """Emit these rounds on every vector, with the round keys that `schedule` points to; round 0 only adds a key."""
    blocks = states[0].type.count // 2
    for number in rounds:
        key = builder.load(builder.gep(schedule, [_I64(number)]), align=4)
        key = in_every_block(builder, key, blocks)
        if number == 0:
            states = [builder.xor(state, key) for state in states]
        else:
            states = [_round(builder, state, key, last=number == ROUNDS) for state in states]
    return states


def substituted(builder: ir.IRBuilder, word: ir.Value) -> ir.Value:
    """Emit SubWord: the last round under key 0, on four equal columns, whose rows shift into themselves."""
    columns = ir.VectorType(_I32, 4)
    state = ir.Constant(columns, ir.Undefined)
    for i in range(4):
        state = builder.insert_element(state, word, _I32(i))
    none = ir.Constant(vector_of(1), [0, 0])
    state = _round(builder, builder.bitcast(state, vector_of(1)), none, last=True)
    return builder.extract_element(builder.bitcast(state, columns), _I32(0))


def _round(builder: ir.IRBuilder, state: ir.Value, key: ir.Value, *, last: bool) -> ir.Value:
    """Emit SubBytes, ShiftRows, MixColumns (except in the last round) and AddRoundKey."""
    if not builder.module.triple.startswith(_ARM):
        suffix = {1: "", 2: ".256", 4: ".512"}[state.type.count // 2]
        return _call(builder, "llvm.x86.aesni.aesenc" + ("last" if last else "") + suffix, state, key)
    # AArch64 adds a key before the round. LLVM moves the previous round's key there in place of the zero.
    rows = ir.VectorType(ir.IntType(8), 16)
    mixed = _call(builder, "llvm.aarch64.crypto.aese", builder.bitcast(state, rows), ir.Constant(rows, [0] * 16))
    if not last:
        mixed = _call(builder, "llvm.aarch64.crypto.aesmc", mixed)
    return builder.xor(builder.bitcast(mixed, state.type), key)


def _call(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """Emit a call of an LLVM intrinsic whose arguments and result have the same type."""
    known = builder.module.globals.get(name)
    kind = ir.FunctionType(args[0].type, [arg.type for arg in args])
    return builder.call(known or ir.Function(builder.module, kind, name), args)


# The kernel, for this processor -----------------------------------------------------------------------------------


def _address(context: Any, builder: ir.IRBuilder, array: Any, value: ir.Value, at: ir.Value, to: ir.Type) -> ir.Value:
    """Emit a pointer to element `at` of an array's memory, as one to `to`."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [at]), to.as_pointer())


def _schedule(context: Any, builder: ir.IRBuilder, array: Any, value: ir.Value, row: ir.Value) -> ir.Value:
    """Emit a pointer to the round keys in a row of schedules."""
    start = builder.mul(row, ir.Constant(row.type, _WORDS * (ROUNDS + 1)))
    return _address(context, builder, array, value, start, vector_of(1))


def _begin(blocks: int, vectors: int) -> Any:
    """Return the intrinsic that writes the result of the shared rounds for blocks * vectors blocks.

    Arguments: words and the index at which to write; schedules and the row of the key; the number of the first block.
    """

    def begin(_typing: Any, words: Any, _at: Any, schedules: Any, _row: Any, _block: Any) -> Any:
        def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: tuple[ir.Value, ...]) -> None:
            out = _address(context, builder, words, args[0], args[1], vector_of(blocks))
            schedule = _schedule(context, builder, schedules, args[2], args[3])
            first = counters(builder, args[4], blocks, vectors)
            for v, state in enumerate(advanced(builder, first, schedule, range(_SHARED + 1))):
                builder.store(state, builder.gep(out, [_I64(v)]), align=4)

        return void(words, types.intp, schedules, types.intp, uint64), emit

    return intrinsic(begin)


def _combine_group(operation: str) -> Any:
    """Return the intrinsic that adds ("add") or subtracts ("sub") one group of keystream.

    Arguments: lanes and the index at which to change them; schedules and the row of the key; the states of a page and
    the index of the group in them; the change to apply to the page's states.
    """

    def combine(_typing: Any, lanes: Any, _at: Any, schedules: Any, _row: Any, page: Any, _in: Any, change: Any) -> Any:
        def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: tuple[ir.Value, ...]) -> None:
            schedule = _schedule(context, builder, schedules, args[2], args[3])
            states = _address(context, builder, page, args[4], args[5], vector_of(_BLOCKS))
            by = _address(context, builder, change, args[6], ir.Constant(args[5].type, 0), vector_of(1))
            by = in_every_block(builder, builder.load(by, align=4), _BLOCKS)
            begun = [builder.load(builder.gep(states, [_I64(v)]), align=4) for v in range(_IN_FLIGHT)]
            begun = [builder.xor(state, by) for state in begun]
            vector = ir.VectorType(ir.IntType(lanes.dtype.bitwidth), 128 * _BLOCKS // lanes.dtype.bitwidth)
            begin = _address(context, builder, lanes, args[0], args[1], vector)
            for v, keystream in enumerate(advanced(builder, begun, schedule, range(_SHARED + 1, ROUNDS + 1))):
                place = builder.gep(begin, [_I64(v)])
                masked = getattr(builder, operation)(builder.load(place, align=1), builder.bitcast(keystream, vector))
                builder.store(masked, place, align=1)

        return void(lanes, types.intp, schedules, types.intp, page, types.intp, change), emit

    return intrinsic(combine)


_begin_group, _begin_block = _begin(_BLOCKS, _IN_FLIGHT), _begin(1, 1)
_add, _subtract = _combine_group("add"), _combine_group("sub")


def _substitute_word(_typing: Any, word: Any) -> Any:
    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: tuple[ir.Value]) -> ir.Value:
        return substituted(builder, args[0])

    return uint32(word), emit


_substitute: Any = intrinsic(_substitute_word)


@register_jitable
def _expanded(keys: U32Array) -> U32Array:
    """Return the round keys (FIPS 197, 5.2) of each row of `keys`, (k, 8) little-endian words, as (k, 60)."""
    words = _WORDS * (ROUNDS + 1)
    schedules = np.empty((keys.shape[0], words), np.uint32)
    for row in range(keys.shape[0]):
        for i in range(8):
            schedules[row, i] = keys[row, i]
        for i in range(8, words):
            word = schedules[row, i - 1]
            if i % 8 == 0:
                word = _substitute(uint32(word >> uint32(8) | word << uint32(24))) ^ uint32(1 << (i // 8 - 1))
            elif i % 8 == 4:
                word = _substitute(word)
            schedules[row, i] = schedules[row, i - 8] ^ word
    return schedules


def _accumulate(lanes: Any, start: int, keys: U32Array, negate: NDArray[np.uint8]) -> None:
    """Add one keystream per row of `keys` to `lanes` in place, or subtract it where `negate` is not 0.

    Shape: lanes (m,) uint32 or uint64, keys (k, 8) little-endian words, negate (k,). `start` is the index of lanes[0]
    in the stream; the last lane lies before block 2^40. Groups are aligned in the stream, so lanes before the first
    whole group and after the last go through a buffer of one group.
    """
    schedules = _expanded(keys)
    page, change = np.empty(_WORDS * _PAGE, np.uint32), np.empty(_WORDS, np.uint32)
    in_block = 16 // lanes.itemsize
    group = _GROUP * in_block
    edge = np.zeros(group, lanes.dtype)
    at = 0
    while at < lanes.shape[0]:
        inside = (start + at) % group  # lanes of the first group that lie before ours
        first = (start + at - inside) // in_block
        left = lanes.shape[0] - at
        whole = inside == 0 and left >= group
        if whole:
            place, begin, groups = lanes, at, min(_PIECE // lanes.itemsize, left) // group
            end = at + groups * group
        else:
            place, begin, groups = edge, 0, 1
            end = at + min(group - inside, left)
            for i in range(at, end):
                edge[inside + i - at] = lanes[i]
        for row in range(schedules.shape[0]):
            for i in range(0, _PAGE, _GROUP):
                _begin_group(page, _WORDS * i, schedules, row, uint64(i))
            for i in range(groups):
                block = first + i * _GROUP
                in_page = block % _PAGE
                if i == 0 or in_page == 0:
                    _begin_block(change, 0, schedules, row, uint64(block - in_page))
                    for word in range(_WORDS):
                        change[word] ^= page[word]
                if negate[row]:
                    _subtract(place, begin + i * group, schedules, row, page, _WORDS * in_page, change)
                else:
                    _add(place, begin + i * group, schedules, row, page, _WORDS * in_page, change)
        if not whole:
            for i in range(at, end):
                lanes[i] = edge[inside + i - at]
        at = end


@cache
def accumulate(dtype: "np.dtype[Any]") -> Callable[[Any, int, U32Array, NDArray[np.uint8]], None]:
    """Return the kernel for lanes of uint32 or uint64; each is compiled on first use."""
    lanes = from_dtype(dtype)[::1]
    return kernel(void(lanes, int64, readonly(uint32, 2), readonly(uint8)))(_accumulate)
