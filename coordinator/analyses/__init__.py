"""Analyses: pooled estimators, composed from sums over the sites, one module each."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from coordinator.analyses.cox import CoxResult, CoxSpec, fit_cox
from coordinator.analyses.errors import AnalysisError, SpecError
from coordinator.analyses.glm import GlmResult, GlmSpec, fit_glm
from coordinator.analyses.kaplan_meier import KaplanMeierResult, KaplanMeierSpec, estimate_kaplan_meier
from coordinator.analyses.secure_sum import SecureSum, Sum, value_bits_for
from participant.statistics.query import in_words

Spec = CoxSpec | KaplanMeierSpec | GlmSpec
Result = CoxResult | KaplanMeierResult | GlmResult

_SPEC: TypeAdapter[Spec] = TypeAdapter(Annotated[Spec, Field(discriminator="analysis")])


def parse_spec(document: Mapping[str, Any]) -> Spec:
    """Read the specification of an analysis, as `tomllib` returns it; its `analysis` says which.

    Raises:
        SpecError: it names no known analysis, or its members are wrong; says where.
    """
    try:
        return _SPEC.validate_json(json.dumps(document))  # JSON has TOML's types, and arrays become tuples
    except (TypeError, ValidationError) as error:
        complaint = in_words(error) if isinstance(error, ValidationError) else str(error)
        raise SpecError(f"the specification of the analysis is wrong: {complaint}") from None


async def analyse(spec: Spec, secure_sum: SecureSum) -> Result:
    """Run the analysis that `spec` describes; raises as `fit_cox`, `fit_glm` and `estimate_kaplan_meier`."""
    if isinstance(spec, CoxSpec):
        return await fit_cox(spec, secure_sum)
    if isinstance(spec, GlmSpec):
        return await fit_glm(spec, secure_sum)
    return await estimate_kaplan_meier(spec, secure_sum)


__all__ = [
    "AnalysisError",
    "CoxResult",
    "CoxSpec",
    "GlmResult",
    "GlmSpec",
    "KaplanMeierResult",
    "KaplanMeierSpec",
    "Result",
    "SecureSum",
    "Spec",
    "SpecError",
    "Sum",
    "analyse",
    "estimate_kaplan_meier",
    "fit_cox",
    "fit_glm",
    "parse_spec",
    "value_bits_for",
]
