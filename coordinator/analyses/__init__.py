"""Analyses: pooled estimators, composed from sums over the sites, one module each.

A module offers a specification, which people write as a TOML table, and a result; `ANALYSES` has the specifications by
the name that `analysis` says in the table.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from coordinator.analyses.ancova import AncovaSpec
from coordinator.analyses.anova import AnovaSpec
from coordinator.analyses.chi_square import ChiSquareSpec
from coordinator.analyses.correlation import CorrelationSpec
from coordinator.analyses.cox import CoxResult, CoxSpec, fit_cox
from coordinator.analyses.cross_validation import CrossValidationSpec
from coordinator.analyses.descriptive import DescriptiveSpec
from coordinator.analyses.errors import AnalysisError, SpecError
from coordinator.analyses.federated_training import FederatedTrainingResult, FederatedTrainingSpec
from coordinator.analyses.fisher import FisherSpec
from coordinator.analyses.glm import GlmResult, GlmSpec, fit_glm
from coordinator.analyses.histogram import HistogramSpec
from coordinator.analyses.imputation import ImputationSpec
from coordinator.analyses.k_means import KMeansSpec
from coordinator.analyses.kaplan_meier import KaplanMeierResult, KaplanMeierSpec, estimate_kaplan_meier
from coordinator.analyses.lasso import LassoSpec
from coordinator.analyses.linear import LinearSpec
from coordinator.analyses.log_rank import LogRankSpec
from coordinator.analyses.logistic import LogisticSpec
from coordinator.analyses.naive_bayes import NaiveBayesSpec
from coordinator.analyses.negative_binomial import NegativeBinomialSpec
from coordinator.analyses.ordinal import OrdinalSpec
from coordinator.analyses.pca import PcaSpec
from coordinator.analyses.result import Result
from coordinator.analyses.ridge import RidgeSpec
from coordinator.analyses.roc import RocSpec
from coordinator.analyses.secure_sum import SecureSum, Sum, value_bits_for
from coordinator.analyses.spec import TableSpec
from coordinator.analyses.svm import LinearSvmSpec
from coordinator.analyses.t_test import TTestSpec
from participant.statistics.query import in_words

_SPECS: tuple[type[TableSpec], ...] = (
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
    NaiveBayesSpec,
    NegativeBinomialSpec,
    OrdinalSpec,
    PcaSpec,
    RidgeSpec,
    RocSpec,
    TTestSpec,
)
ANALYSES: Mapping[str, type[TableSpec]] = {spec.model_fields["analysis"].default: spec for spec in _SPECS}


def parse_spec(document: Mapping[str, Any]) -> TableSpec:
    """Read the specification of an analysis, as `tomllib` returns it; its `analysis` says which.

    Raises:
        SpecError: it names no known analysis, or its members are wrong; says where.
    """
    try:
        text = json.dumps(document)  # JSON has TOML's types, and arrays become tuples
    except TypeError as error:
        raise SpecError(f"the specification of the analysis is wrong: {error}") from None
    name = document.get("analysis")
    if not isinstance(name, str) or name not in ANALYSES:
        raise SpecError(f"analysis = {name!r} is none of {', '.join(ANALYSES)}")
    try:
        return ANALYSES[name].model_validate_json(text)
    except ValidationError as error:
        raise SpecError(f"the specification of the analysis {name} is wrong: {in_words(error)}") from None


__all__ = [
    "ANALYSES",
    "AnalysisError",
    "AncovaSpec",
    "AnovaSpec",
    "ChiSquareSpec",
    "CorrelationSpec",
    "CoxResult",
    "CoxSpec",
    "CrossValidationSpec",
    "DescriptiveSpec",
    "FederatedTrainingResult",
    "FederatedTrainingSpec",
    "FisherSpec",
    "GlmResult",
    "GlmSpec",
    "HistogramSpec",
    "ImputationSpec",
    "KMeansSpec",
    "KaplanMeierResult",
    "KaplanMeierSpec",
    "LassoSpec",
    "LinearSpec",
    "LinearSvmSpec",
    "LogRankSpec",
    "LogisticSpec",
    "NaiveBayesSpec",
    "NegativeBinomialSpec",
    "OrdinalSpec",
    "PcaSpec",
    "Result",
    "RidgeSpec",
    "RocSpec",
    "SecureSum",
    "SpecError",
    "Sum",
    "TTestSpec",
    "TableSpec",
    "estimate_kaplan_meier",
    "fit_cox",
    "fit_glm",
    "parse_spec",
    "value_bits_for",
]
