"""The vocabulary of statistics: what a site can be asked for, as pure functions over arrays.

A query names one statistic; `evaluate` answers it from a table, `layout_of` says what the answer's vector holds and how
large an entry can be, `disclosure_of` what the sum over the sites tells.
"""

from participant.statistics.disclosure import Disclosure, Group, Reveals
from participant.statistics.evaluate import (
    COUNTS,
    COX_RISK_SETS,
    EVENT_COUNTS,
    MOMENTS,
    STATISTICS,
    MissingColumnsError,
    RowLimitError,
    check_dataset,
    disclosure_of,
    evaluate,
    layout_of,
    statistic_of,
)
from participant.statistics.layout import Block, Layout
from participant.statistics.outcome import Grid, Outcome
from participant.statistics.query import Comparison, Query, QueryError
from participant.statistics.statistic import Columns, Params, Statistic
from participant.statistics.variables import Variable

__all__ = [
    "COUNTS",
    "COX_RISK_SETS",
    "EVENT_COUNTS",
    "MOMENTS",
    "STATISTICS",
    "Block",
    "Columns",
    "Comparison",
    "Disclosure",
    "Grid",
    "Group",
    "Layout",
    "MissingColumnsError",
    "Outcome",
    "Params",
    "Query",
    "QueryError",
    "Reveals",
    "RowLimitError",
    "Statistic",
    "Variable",
    "check_dataset",
    "disclosure_of",
    "evaluate",
    "layout_of",
    "statistic_of",
]
