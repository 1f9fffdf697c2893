"""Layouts: the arrays that a statistic releases, their order in one vector, and the bounds of their entries.

A bound is proven from the query's parameters (row limit, declared ranges, coefficients) and never taken from data, so
every site and the coordinator derive the same segments, and these disclose nothing about anybody. For the same reason,
a value beyond its bound is refused rather than clipped: it can only be caused by a defect, never by data, and then no
sum is better than a wrong one. Proven bounds can be wide; a round of `ranges` finds narrower ones (`Layout.narrowed`).

Real bounds are widened to the next power of two. The step is then a power of two, which is exact in floating point and
identical on platforms whose `exp` differs in the last digit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import frexp, isfinite, ldexp, prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from participant.statistics.language.query import MAX_VALUE_BITS, MIN_VALUE_BITS
from secagg.errors import ParameterError
from secagg.params import MAX_LANES, MAX_SEGMENTS, Beyond, Segment

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]

_ROUNDING = 1 + 2.0**-20  # a floating-point sum of 2^30 terms is off by less than this factor
_BELOW = 1 - 2.0**-18  # share of a power of two: a bound widened to that power, and no further


@dataclass(frozen=True, slots=True)
class Block:
    """One named array of the vector, in C order.

    Attributes:
        name: name of the array, unique in its layout.
        shape: shape of the array, () for a number; a block may be empty.
        clip: bound on each entry's absolute value: one for all, or one for each index of the first axis.
        exact: whether the entries are whole numbers and travel with step 1; otherwise they are real and are quantised.
        cells: name of the block that counts, cell by cell, the persons for whom these entries stand; its shape is the
            last part of this one's. A block that counts disjoint groups of persons refers to itself. See `suppression`.
        few: for a lane that counts some of the persons, how it shows fewer than the floor: ``rounded`` to none or the
            floor at random, or always as ``some``, so that an analysis asks again; None for other blocks.
    """

    name: str
    shape: tuple[int, ...]
    clip: float | tuple[float, ...]
    exact: bool = False
    cells: str | None = None
    few: Literal["rounded", "some"] | None = None

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def clips(self) -> tuple[float, ...]:
        """The bounds: one for all entries, or one for each index of the first axis."""
        return self.clip if isinstance(self.clip, tuple) else (self.clip,)

    def segments(self, value_bits: int) -> Iterator[Segment]:
        for clip in self.clips:
            if count := self.size // len(self.clips):
                yield _whole(count, clip) if self.exact else _real(count, clip, value_bits)


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of a statistic, in their order in the vector.

    Raises:
        ParameterError: two blocks share a name, clips do not match the shape or are not positive, or there are too many
            entries.
    """

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if len({block.name for block in self.blocks}) != len(self.blocks):
            raise ParameterError("two blocks of a layout have the same name")
        for block in self.blocks:
            if isinstance(block.clip, tuple) and block.shape[:1] != (len(block.clip),):
                raise ParameterError(f"block {block.name} needs one clip for each index of its first axis")
            if not all(isfinite(clip) and clip > 0 for clip in block.clips):
                raise ParameterError(f"block {block.name} has a bound that is not positive and finite")
            if block.cells and block.shape[-len(self.block(block.cells).shape) :] != self.block(block.cells).shape:
                raise ParameterError(f"block {block.name} does not have the cells of {block.cells}")
        if not 1 <= self.length <= MAX_LANES:
            raise ParameterError(f"a vector must have 1 to {MAX_LANES} entries; this one would have {self.length}")

    @property
    def length(self) -> int:
        """Number d of entries."""
        return sum(block.size for block in self.blocks)

    def block(self, name: str) -> Block:
        """Return the block of this name."""
        return next(block for block in self.blocks if block.name == name)

    def segments(self, value_bits: int) -> tuple[Segment, ...]:
        """Return clip and step of all entries, merging neighbours for which both are equal.

        A real entry has step = clip / 2^(value_bits - 1), so the sum over n sites is off by at most n * step / 2.

        Raises:
            ParameterError: `value_bits` is out of range, or there are more segments than a schema holds.
        """
        if not MIN_VALUE_BITS <= value_bits <= MAX_VALUE_BITS:
            raise ParameterError(f"value_bits must be {MIN_VALUE_BITS} to {MAX_VALUE_BITS}, not {value_bits}")
        joined: list[Segment] = []
        for segment in (segment for block in self.blocks for segment in block.segments(value_bits)):
            if joined and (joined[-1].clip, joined[-1].step) == (segment.clip, segment.step):
                last = joined.pop()
                joined.append(_segment(last.count + segment.count, segment.clip, segment.step))
            else:
                joined.append(segment)
        if len(joined) > MAX_SEGMENTS:
            raise ParameterError(
                f"a vector may have at most {MAX_SEGMENTS} segments; this one would have {len(joined)}"
            )
        return tuple(joined)

    @property
    def exponents(self) -> tuple[int, ...]:
        """For each group of real entries that share a clip, the least k for which 2^k is a proven bound with room for
        rounding in a sum. Blocks without entries have no groups.
        """
        return tuple(
            frexp(clip * _ROUNDING)[1]
            for block in self.blocks
            if block.size and not block.exact
            for clip in block.clips
        )

    def narrowed(self, exponents: tuple[int, ...]) -> "Layout":
        """Return the layout with the bound 2^k for each group of real entries, for the given k, wherever that is
        narrower.

        Raises:
            ParameterError: there is not exactly one exponent for each group.
        """
        if len(exponents) != len(self.exponents):
            raise ParameterError(f"{len(self.exponents)} groups of entries need as many ranges, not {len(exponents)}")
        bounds = iter([min(pair) for pair in zip(exponents, self.exponents, strict=True)])
        return Layout(tuple(_bounded(block, bounds) for block in self.blocks))

    def steps(self, value_bits: int) -> dict[str, Array]:
        """Return the step of every entry, as arrays in the blocks' shapes: an entry's sum over n sites is off by at
        most n / 2 steps.
        """
        segments = self.segments(value_bits)
        return self.unflatten(
            np.repeat([segment.step for segment in segments], [segment.count for segment in segments])
        )

    def flatten(self, arrays: Arrays) -> Array:
        """Return the arrays, one for each block, as one vector, (d,) float64.

        Raises:
            ParameterError: an array is missing, unknown, of another shape, or not finite.
        """
        if set(arrays) != {block.name for block in self.blocks}:
            raise ParameterError(f"the arrays {sorted(arrays)} do not match the layout")
        parts = [np.asarray(arrays[block.name], np.float64) for block in self.blocks]
        for block, part in zip(self.blocks, parts, strict=True):
            if part.shape != block.shape:
                raise ParameterError(f"block {block.name} must have shape {block.shape}, not {part.shape}")
            if not np.isfinite(part).all():
                raise ParameterError(f"block {block.name} holds NaN or infinity")
        return np.concatenate([part.ravel() for part in parts])

    def unflatten(self, vector: Array) -> dict[str, Array]:
        """Return the arrays of a vector or of a sum of vectors.

        Raises:
            ParameterError: the vector's length is not that of the layout.
        """
        if vector.shape != (self.length,):
            raise ParameterError(f"the vector must have {self.length} entries; its shape is {vector.shape}")
        ends = np.cumsum([block.size for block in self.blocks])[:-1]
        return {
            block.name: part.reshape(block.shape)
            for block, part in zip(self.blocks, np.split(vector, ends), strict=True)
        }


def _bounded(block: Block, exponents: Iterator[int]) -> Block:
    if block.exact or not block.size:
        return block
    clips = tuple(ldexp(_BELOW, next(exponents)) for _ in block.clips)
    return replace(block, clip=clips if isinstance(block.clip, tuple) else clips[0])


def _whole(count: int, clip: float) -> Segment:
    return _segment(count, float(clip), 1.0)


def _real(count: int, clip: float, value_bits: int) -> Segment:
    _, exponent = frexp(clip * _ROUNDING)  # 2^(exponent-1) <= widened clip < 2^exponent
    return _segment(count, ldexp(1.0, exponent), ldexp(1.0, exponent - value_bits + 1))


def _segment(count: int, clip: float, step: float) -> Segment:
    return Segment(count=count, clip=clip, step=step, beyond=Beyond.REFUSE)
