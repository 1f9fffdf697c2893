"""Analyses: pooled estimators, composed from sums over the sites, one module each.

Each module offers a specification, which people write as a TOML table, and a result; `ANALYSES` maps the name in the
table's member `analysis` to the specification.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from participant.analyses.base.errors import SpecError
from participant.analyses.base.spec import TableSpec
from participant.analyses.descriptive.descriptive import DescriptiveSpec
from participant.analyses.descriptive.histogram import HistogramSpec
from participant.analyses.descriptive.table_one import TableOneSpec
from participant.analyses.hypothesis.agreement import AgreementSpec
from participant.analyses.hypothesis.ancova import AncovaSpec
from participant.analyses.hypothesis.anova import AnovaSpec
from participant.analyses.hypothesis.chi_square import ChiSquareSpec
from participant.analyses.hypothesis.correlation import CorrelationSpec
from participant.analyses.hypothesis.fisher import FisherSpec
from participant.analyses.hypothesis.mantel_haenszel import MantelHaenszelSpec
from participant.analyses.hypothesis.rank_test import RankTestSpec
from participant.analyses.hypothesis.signed_rank import SignedRankSpec
from participant.analyses.hypothesis.spearman import SpearmanSpec
from participant.analyses.hypothesis.t_test import TTestSpec
from participant.analyses.hypothesis.trend import TrendSpec
from participant.analyses.learning.cross_validation import CrossValidationSpec
from participant.analyses.learning.federated_training import FederatedTrainingSpec
from participant.analyses.learning.imputation import ImputationSpec
from participant.analyses.learning.k_means import KMeansSpec
from participant.analyses.learning.naive_bayes import NaiveBayesSpec
from participant.analyses.learning.pca import PcaSpec
from participant.analyses.learning.roc import RocSpec
from participant.analyses.learning.svm import LinearSvmSpec
from participant.analyses.regression.glm import GlmSpec
from participant.analyses.regression.lasso import LassoSpec
from participant.analyses.regression.linear import LinearSpec
from participant.analyses.regression.logistic import LogisticSpec
from participant.analyses.regression.negative_binomial import NegativeBinomialSpec
from participant.analyses.regression.ordinal import OrdinalSpec
from participant.analyses.regression.ridge import RidgeSpec
from participant.analyses.survival.cox import CoxSpec
from participant.analyses.survival.kaplan_meier import KaplanMeierSpec
from participant.analyses.survival.log_rank import LogRankSpec
from participant.analyses.survival.rmst import RmstSpec
from participant.statistics.language.query import in_words

_SPECS: tuple[type[TableSpec], ...] = (
    AgreementSpec,
    AncovaSpec,
    AnovaSpec,
    ChiSquareSpec,
    CorrelationSpec,
    CoxSpec,
    CrossValidationSpec,
    DescriptiveSpec,
    FederatedTrainingSpec,
    FisherSpec,
    GlmSpec,
    HistogramSpec,
    ImputationSpec,
    KaplanMeierSpec,
    KMeansSpec,
    LassoSpec,
    LinearSpec,
    LinearSvmSpec,
    LogisticSpec,
    LogRankSpec,
    MantelHaenszelSpec,
    NaiveBayesSpec,
    NegativeBinomialSpec,
    OrdinalSpec,
    PcaSpec,
    RankTestSpec,
    RidgeSpec,
    RmstSpec,
    RocSpec,
    SignedRankSpec,
    SpearmanSpec,
    TTestSpec,
    TableOneSpec,
    TrendSpec,
)
ANALYSES: Mapping[str, type[TableSpec]] = {spec.model_fields["analysis"].default: spec for spec in _SPECS}


def parse_spec(document: Mapping[str, Any]) -> TableSpec:
    """Read the specification of an analysis, as `tomllib` returns it.

    Raises:
        SpecError: the document names no known analysis, or a member is invalid; the message says which.
    """
    try:
        text = json.dumps(document)  # JSON has TOML's types, and arrays become tuples
    except TypeError as error:
        raise SpecError(f"the specification of the analysis is invalid: {error}") from None
    name = document.get("analysis")
    if not isinstance(name, str) or name not in ANALYSES:
        raise SpecError(f"analysis = {name!r} is unknown; {_meant(name)}")
    try:
        return ANALYSES[name].model_validate_json(text)
    except ValidationError as error:
        raise SpecError(
            f"the specification of the analysis {name} is invalid: {in_words(error, ANALYSES[name])}"
        ) from None


def _meant(name: object) -> str:
    near = get_close_matches(str(name), ANALYSES, n=1)
    return f"did you mean {near[0]}?" if near else f"use one of {', '.join(ANALYSES)}"
