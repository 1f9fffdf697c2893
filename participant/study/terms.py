"""A project's terms: the questions that its coordinator may ask, fixed before anyone agrees.

The terms' bytes are opaque to the relay. Their hash is in the roster, which every officer confirms by its words, so
nobody can change terms unnoticed.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from participant.analyses.base.spec import MISSING_SHARE
from participant.statistics.language.conditions import Name, Strict
from participant.statistics.language.definitions import Definitions, Words
from participant.statistics.language.inner import names_in
from participant.statistics.language.query import MAX_COLUMNS, Query, canonical, in_words
from participant.study.plan import Plan
from secagg.errors import ParameterError
from secagg.he.parameters import SUMS
from secagg.params import MAX_HOMOMORPHIC_SITES, MAX_RING_BITS, MIN_SITES

MAX_TERMS_BYTES = 64 << 10


class TermsError(ParameterError):
    """The terms are malformed, or a query goes beyond them; the message says how."""


def _ordered(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


Names = Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_COLUMNS), AfterValidator(_ordered)]


class ProjectTerms(Strict):
    """The questions that a project may ask.

    Attributes:
        purpose: purpose of the project, one or two sentences of printable ASCII.
        dataset: name under which every site keeps its table.
        columns: columns that queries may read or filter by, sorted.
        variables: definitions to which every site maps its own columns, for all, some or none of `columns`.
        statistics: names of the statistics that may be requested, sorted.
        profile: adversary that the protocol must withstand.
        loss_rule: rule for a run that loses a site.
        minimum_sites: minimum number of sites in a roster.
        mode: `masks`, in which the coordinator learns the sums, or `he`, in which it adds ciphertexts that only the
            sites can decrypt.
        publish: in mode `he`, whether the sites send the decrypted sums to the coordinator.
        floors: who hides small groups: each `site` in its own numbers, or the sites together in the `pooled` sum that
            they open, before they publish it.
        plan: complete list of the project's analyses; None if its coordinator may ask freely within the terms.
    """

    purpose: Words
    dataset: Name
    columns: Names
    variables: Definitions = ()
    statistics: Names
    profile: Literal["malicious", "semi-honest"] = "malicious"
    loss_rule: Literal["continue", "pause", "abort"] = "pause"
    minimum_sites: int = Field(default=MIN_SITES, ge=MIN_SITES, le=65_534)
    mode: Literal["masks", "he"] = "masks"
    publish: bool = False
    floors: Literal["site", "pooled"] = Field(default="site", exclude_if=lambda floors: floors == "site")
    plan: Plan | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if beyond := sorted({one.code for one in self.variables} - set(self.columns)):
            raise ValueError(f"these variables are not columns of the project: {', '.join(beyond)}")
        if self.publish and self.mode == "masks":
            raise ValueError("publish applies only to mode he; with masks the coordinator learns every sum")
        if self.floors == "pooled" and not self.publish:
            raise ValueError("pooled floors need mode he and publish: the sites apply them to the sum that they open")
        if self.mode == "he" and self.minimum_sites > MAX_HOMOMORPHIC_SITES:
            raise ValueError(f"mode he supports at most {MAX_HOMOMORPHIC_SITES} sites")
        if self.plan is not None:
            self.plan.check(self.dataset)
        return self

    @property
    def ring_bits(self) -> int:
        """Number of bits of the ring in which this mode adds."""
        return MAX_RING_BITS if self.mode == "masks" else SUMS.plain_modulus.bit_length() - 1  # a slot holds one value

    @property
    def pooled(self) -> bool:
        """Whether floors hold over all sites rather than at each."""
        return self.floors == "pooled"

    @property
    def coordinator_learns(self) -> bool:
        """Whether the coordinator learns the sums; otherwise only the sites do."""
        return self.mode == "masks" or self.publish

    def encode(self) -> bytes:
        """Return the canonical bytes (RFC 8785). They omit what older terms did not say: the mode `masks`, an absent
        plan, and a plan's usual `missing_share`.
        """
        unsaid: dict[str, Any] = {"mode": True, "publish": True} if self.mode == "masks" else {}
        if self.plan is None:
            unsaid["plan"] = True
        elif self.plan.missing_share == MISSING_SHARE:
            unsaid["plan"] = {"missing_share"}
        return canonical(self.model_dump(mode="json", exclude=unsaid))

    @classmethod
    def decode(cls, data: bytes) -> "ProjectTerms":
        """Read terms from untrusted bytes.

        Raises:
            TermsError: the bytes are too long, not a project's terms, or not in canonical form.
        """
        if len(data) > MAX_TERMS_BYTES:
            raise TermsError(f"terms may have at most {MAX_TERMS_BYTES} bytes; these have {len(data)}")
        try:
            terms = cls.model_validate_json(data)
        except ValidationError as error:
            raise TermsError(f"these are not the terms of a project: {in_words(error)}") from None
        if terms.encode() != data:
            raise TermsError("the terms are not in canonical form (RFC 8785, names sorted)")
        return terms

    def check(self, query: Query) -> None:
        """Check that a query stays within the terms.

        Raises:
            TermsError: the query names another dataset, a column or statistic that was not agreed on, or other floors.
        """
        if query.pooled != self.pooled:
            raise TermsError(
                f"the project's terms say that floors are those of: {self.floors}; the query says otherwise"
            )
        if query.dataset != self.dataset:
            raise TermsError(f"the project covers dataset {self.dataset}; the query asks for {query.dataset}")
        for name in names_in(query):
            if name not in self.statistics:
                raise TermsError(f"the project's terms do not include the statistic {name}")
        if beyond := sorted(set(query.needs) - set(self.columns)):
            raise TermsError(f"the project's terms do not include the columns {', '.join(beyond)}")
