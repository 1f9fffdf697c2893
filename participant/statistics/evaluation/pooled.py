"""Floors over all sites: what the sites publish of a sum that they opened together, and how an analysis reads it.

Each site sends its numbers as they are, with their support (`supports`). The sites open the sum, and each applies the
rule of `suppression` to it: the same rule to the same integers, so all honest sites publish the same bytes. Nothing is
hidden because one site has few patients, and what is published is exact. NaN stands for what is not.

    whole sum   hidden if it covers fewer than f rows, or fewer than three for each parameter of a model, or if its
                support is small: fewer than f persons behind a sum or a difference of sums, or one who dominates it
    cells       small ones are hidden with others, so that no total gives them back
    counts      of 1 to f - 1 persons, or of all but as many, are rounded (`Block.few`)
    times       are merged until each interval has no event, or f, and no censored row, or f (`models.merging`)
    support     is never published
"""

import numpy as np

from participant.statistics.evaluation import supports, suppression
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.language.layout import Array, Arrays
from participant.statistics.language.statistic import ROWS_PER_PARAMETER
from participant.statistics.language.support import Support


def published(bound: BoundQuery, opened: Array) -> Array:
    """Return what the sites publish of an opened sum, (d,) float64, NaN for hidden entries.

    Args:
        bound: the query.
        opened: (d,) the opened sum.
    """
    if not bound.query.pooled:
        return opened
    arrays = bound.layout.unflatten(opened)
    rows, floor = round(float(arrays[suppression.ASKED])), bound.query.minimum_persons
    shown: dict[str, Array] = {suppression.ASKED: np.array(rows if rows >= floor else 0.0)}
    if not _is_small(bound, arrays, rows):
        shown = _shown(bound, arrays, rows) | shown
    parts = [np.ravel(shown.get(block.name, np.full(block.shape, np.nan))) for block in bound.layout.blocks]
    return np.concatenate(parts)


def read(bound: BoundQuery, vector: Array) -> dict[str, Array]:
    """Return the arrays of the statistic's own layout in a published sum, with zeros for hidden entries.

    In a pooled query, `asked` counts the rows that it covers, and `answered` those that are in the numbers; `pooled`
    is 1.
    """
    arrays = bound.layout.unflatten(vector)
    if not bound.query.pooled:
        return arrays
    own = {name: array for name, array in arrays.items() if name not in supports.PRIVATE}
    asked = own.pop(suppression.ASKED)
    is_hidden = all(np.isnan(array).all() for array in own.values() if array.size)
    counted = [np.nansum(own[block.name]) for block in suppression.counting(bound.published)]
    answered = np.array(0.0) if is_hidden else np.array([*counted, asked][0])
    counts = {suppression.ASKED: asked, suppression.ANSWERED: answered, suppression.POOLED: np.array(1.0)}
    found = {**counts, **own, **bound.statistic.read_pooled(bound.params, own)}
    return {name: np.nan_to_num(array) for name, array in found.items()}


def _is_small(bound: BoundQuery, arrays: Arrays, rows: int) -> bool:
    floor, least = bound.query.minimum_persons, ROWS_PER_PARAMETER * bound.statistic.parameters(bound.params)
    if floor == 1:
        return False
    return 0 < rows < max(floor, least) or suppression.is_small(supports.of(arrays), floor)


def _shown(bound: BoundQuery, arrays: Arrays, rows: int) -> dict[str, Array]:
    """Return the arrays that may be published, with NaN for hidden entries."""
    layout, floor = bound.published, bound.query.minimum_persons
    masks = dict(suppression.hidden(layout, arrays, _NO_SUPPORT, floor))
    masks |= bound.statistic.pooled_hidden(bound.params, arrays, floor)
    seed = round(float(arrays[supports.SECRET]))
    shown = suppression.rounded(layout, {block.name: arrays[block.name] for block in layout.blocks}, rows, floor, seed)
    return {name: np.where(masks[name], np.nan, array) for name, array in shown.items()}


_NO_SUPPORT = Support(np.zeros(0), np.zeros(0), np.zeros(0))  # it has been judged
