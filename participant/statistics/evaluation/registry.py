"""The vocabulary, by name. Sites approve these statistics and never run code sent to them."""

from collections.abc import Mapping
from typing import Any

from participant.statistics.language.query import Query, QueryError
from participant.statistics.language.statistic import Statistic
from participant.statistics.vocabulary.class_moments import ClassMoments
from participant.statistics.vocabulary.contingency import Contingency
from participant.statistics.vocabulary.counts import Counts
from participant.statistics.vocabulary.cox_risk_sets import CoxRiskSets
from participant.statistics.vocabulary.event_counts import EventCounts
from participant.statistics.vocabulary.glm_score import GlmScore
from participant.statistics.vocabulary.gram import Gram
from participant.statistics.vocabulary.hinge import Hinge
from participant.statistics.vocabulary.histogram import Histogram
from participant.statistics.vocabulary.imputed import Imputed
from participant.statistics.vocabulary.kmeans import KMeans
from participant.statistics.vocabulary.moments import Moments
from participant.statistics.vocabulary.ordinal_score import OrdinalScore
from participant.statistics.vocabulary.ranges import Ranges
from participant.statistics.vocabulary.training import Training

COUNTS = Counts()
MOMENTS = Moments()
CLASS_MOMENTS = ClassMoments()
HISTOGRAM = Histogram()
CONTINGENCY = Contingency()
GRAM = Gram()
GLM_SCORE = GlmScore()
ORDINAL_SCORE = OrdinalScore()
EVENT_COUNTS = EventCounts()
COX_RISK_SETS = CoxRiskSets()
K_MEANS = KMeans()
HINGE = Hinge()
TRAINING = Training()

_OF_ROWS: tuple[Statistic[Any], ...] = (
    COUNTS,
    MOMENTS,
    CLASS_MOMENTS,
    HISTOGRAM,
    CONTINGENCY,
    GRAM,
    GLM_SCORE,
    ORDINAL_SCORE,
    EVENT_COUNTS,
    COX_RISK_SETS,
    K_MEANS,
    HINGE,
    TRAINING,
)
RANGES = Ranges(_OF_ROWS)

IMPUTED = Imputed((*_OF_ROWS, RANGES))

STATISTICS: Mapping[str, Statistic[Any]] = {statistic.name: statistic for statistic in (*_OF_ROWS, RANGES, IMPUTED)}


def statistic_of(query: Query) -> Statistic[Any]:
    """Return the statistic that a query asks for.

    Raises:
        QueryError: there is no statistic with that name.
    """
    try:
        return STATISTICS[query.statistic]
    except KeyError:
        raise QueryError(
            f"there is no statistic {query.statistic}; the statistics are {', '.join(STATISTICS)}"
        ) from None
