"""A sum that the sites publish in part: a hidden entry is the one ring element that no sum can be.

Spec: 02-protocol §11. A sum of n quantised values lies strictly between -2^(b-1) and 2^(b-1), so the element 2^(b-1) is
free to say "hidden". The digest of the payload therefore covers what is hidden as well as what is not.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import ring
from secagg.errors import ParameterError
from secagg.packing import Lanes
from secagg.params import Schema
from secagg.quantize import Reals, dequantize


def conceal(values: NDArray[np.int64], hidden: ArrayLike, schema: Schema) -> Lanes:
    """Return the elements to publish for an opened sum.

    Args:
        values: (m,) the opened integers, or others in their place.
        hidden: (m,) bool, the entries to hide; a single bool stands for all.
        schema: schema of the round.

    Raises:
        ParameterError: the values do not fit the schema; or `hidden` has another shape, or hides a part of a rotated
            sum, whose entries are mixtures.
    """
    if values.shape != (schema.length,) or values.dtype != np.int64 or (np.abs(values) >= -_hidden(schema)).any():
        raise ParameterError(f"the values are not {schema.length} integers of {schema.ring_bits} bits")
    mask = np.asarray(hidden, np.bool_)
    if mask.shape not in {(), values.shape}:
        raise ParameterError(f"{len(values)} entries cannot be hidden by a mask of shape {mask.shape}")
    mask = np.broadcast_to(mask, values.shape)
    if not _is_whole(mask, schema):
        raise ParameterError("a rotated sum is published whole or not at all")
    return ring.embed(np.where(mask, _hidden(schema), values), schema.ring_bits)


def reveal(values: NDArray[np.int64], schema: Schema, rotation: bytes) -> Reals:
    """Return the reals of a published sum, (m,), with NaN for hidden entries.

    Raises:
        ParameterError: a part of a rotated sum is hidden.
    """
    mask = values == _hidden(schema)
    if not _is_whole(mask, schema):
        raise ParameterError("a part of a rotated sum is hidden")
    reals = dequantize(np.where(mask, 0, values), schema, rotation)
    reals[mask] = np.nan
    return reals


def _hidden(schema: Schema) -> np.int64:
    return np.int64(-(1 << (schema.ring_bits - 1)))


def _is_whole(mask: NDArray[np.bool_], schema: Schema) -> bool:
    return bool(mask.all()) or not mask.any() or not any(segment.rotation for segment in schema.segments)
