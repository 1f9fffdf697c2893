"""Simulated runs over sites in this process, for designing an analysis before asking any hospital.

Each table is a site. A simulation treats its numbers as a real run would: sites answer the same queries, hide small
groups at the same floors, quantise to the same fixed point and decline for the same reasons; sites can be lost, and
below the threshold nothing is learnt. The sums are the same, bit for bit. Only secrecy is missing: all tables are in
one place.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from coordinator.journal.tables import ReleasedSum
from coordinator.runs.lifecycle import RunOutcome, check_plan, result_of
from coordinator.session.progress import Event, Show, What
from participant.analyses.base.secure_sum import SecureSum, Sum, value_bits_for
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.bound import BoundQuery, with_floors
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.pooled import published, read
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns
from participant.study.terms import ProjectTerms
from secagg.errors import NotEnoughParticipantsError, ParameterError, SecaggError
from secagg.params import MIN_SITES, Profile, Schema, Segment, default_threshold, ring_bits_for
from secagg.quantize import dequantize, quantize

Tables = Mapping[Any, Any]
"""Tables by site name; each is a data frame, or any other mapping from column names to arrays."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """Sites in this process.

    Args:
        tables: tables by site name, read as a site's import reads them; columns that are not numeric are ignored.
        terms: project terms that queries must comply with; None allows every query.
        lost: names of the sites to lose in a round, by round number; they stay away until the end of the run.

    Raises:
        ParameterError: fewer than three sites, a repeated name, or a site to be lost that does not exist.
    """

    tables: Tables
    terms: ProjectTerms | None = None
    lost: Mapping[int, Collection[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [str(name) for name in self.tables]
        if len(set(names)) < MIN_SITES:
            raise ParameterError(f"a simulation needs at least {MIN_SITES} sites with distinct names; it has {names}")
        if unknown := sorted({site for sites in self.lost.values() for site in sites} - set(names)):
            raise ParameterError(f"lost names sites that do not exist: {', '.join(unknown)}")

    async def carry_out(self, tasks: tuple[TableSpec, ...], show: Show) -> tuple[UUID, RunOutcome]:
        """Execute a run's tasks; raises the errors of `coordinator.runs.lifecycle.carry_out`."""
        if self.terms is not None:
            check_plan(self.terms, tasks)
        sites = {str(name): numbers_of(table, str(name)) for name, table in self.tables.items()}
        secure_sum = SimulatedSum(sites, self.terms, self.lost, show)
        results = tuple([await result_of(task, secure_sum, len(sites)) for task in tasks])
        return uuid4(), RunOutcome(results, tuple(secure_sum.answers), {})


class SimulatedSum(SecureSum):
    """The secure sum of a simulated run.

    Attributes:
        answers: every query that was asked, with its round, sites and sum.
    """

    def __init__(
        self,
        tables: Mapping[str, Columns],
        terms: ProjectTerms | None,
        lost: Mapping[int, Collection[str]],
        show: Show,
    ) -> None:
        self._tables = dict(tables)
        self._terms = terms
        self._lost = lost
        self._show = show
        self._began = time.monotonic()
        self._threshold = default_threshold(len(tables), Profile.MALICIOUS)
        self.value_bits = value_bits_for(len(tables))
        self.answers: list[tuple[BoundQuery, ReleasedSum]] = []

    async def __call__(self, query: BoundQuery) -> Sum:
        """Return the sum of a query.

        Raises:
            TermsError: the query exceeds the project's terms.
            NotEnoughParticipantsError: fewer sites than the threshold are left; the message says why each is missing.
        """
        pooled = self._terms is not None and self._terms.pooled
        query = BoundQuery.decode(with_floors(query, pooled=pooled).encode())  # as a site reads it
        if self._terms is not None:
            self._terms.check(query.query)
        round_ = len(self.answers) + 1
        self._say("round-opened", round_, f"asked {len(self._tables)} sites for {query.layout.length} numbers")
        vectors = self._vectors(query, round_)
        segments = query.segments
        total = published(query, fixed_point_sum(list(vectors.values()), segments))
        self._tables = {name: self._tables[name] for name in vectors}
        self.answers.append(
            (query, ReleasedSum(round_, _ring_bits(segments, len(vectors)), tuple(sorted(vectors)), total))
        )
        self._say("round-done", round_, f"sum over {len(vectors)} sites")
        return Sum(read(query, total), tuple(sorted(vectors)))

    def _vectors(self, query: BoundQuery, round_: int) -> dict[str, Array]:
        vectors: dict[str, Array] = {}
        reasons = []
        for name, table in self._tables.items():
            if name in self._lost.get(round_, ()):
                reasons.append((name, "was lost"))
                continue
            try:
                vectors[name] = evaluate(query, table)
            except ParameterError as refusal:
                reasons.append((name, f"declined: {refusal}"))
        for name, reason in reasons:
            self._say("lost", round_, reason, site=name)
        if len(vectors) < self._threshold:
            raise NotEnoughParticipantsError(
                f"{len(vectors)} sites uploaded, {self._threshold} are needed"
                + "".join(f"; {name} {reason}" for name, reason in reasons)
            )
        return vectors

    def _say(self, what: What, round_: int, detail: str, *, site: str = "") -> None:
        seconds = round(time.monotonic() - self._began, 3)
        self._show(Event(what, round=round_, site=site, detail=detail, seconds=seconds))


def fixed_point_sum(vectors: Collection[Array], segments: tuple[Segment, ...]) -> Array:
    """Return the sum that a round would give, after the same checks."""
    schema = Schema(ring_bits=_ring_bits(segments, len(vectors)), mac_lanes=0, segments=segments)
    schema.check(len(vectors))
    return dequantize(np.sum([quantize(vector, schema).values for vector in vectors], axis=0), schema)


def _ring_bits(segments: tuple[Segment, ...], sites: int) -> int:
    return max(ring_bits_for(segment.levels, sites) for segment in segments)


def numbers_of(table: Any, name: str = "table") -> Columns:
    """Return the columns that statistics can use, as an import stores them: float64, with NaN for missing values.

    Raises:
        ParameterError: an import would refuse the table.
    """
    from participant.data.pipeline.tables import of_frame  # noqa: PLC0415 - data frames take half a second to load

    try:
        return of_frame(table, name)
    except SecaggError as error:
        raise ParameterError(f"the table {name} cannot be read: {error}") from None


def read_folder(folder: Path) -> dict[str, Columns]:
    """Read the tables of a simulation: a file for each site, named after it, in any format that a site can import.

    Raises:
        ParameterError: the folder is missing, has no tables, or has one that an import would refuse.
    """
    from participant.data.pipeline.tables import files_in, name_of, of_file  # noqa: PLC0415

    tables: dict[str, Columns] = {}
    for path in files_in(folder):
        if (name := name_of(path)) in tables:
            raise ParameterError(f"{folder} has two tables for the site {name}")
        try:
            tables[name] = of_file(path)
        except (SecaggError, OSError) as error:
            raise ParameterError(f"{path} cannot be read: {error}") from None
    if not tables:
        raise ParameterError(
            f"{folder} contains no file NAME.csv, NAME.parquet or the like; a simulation needs one for each site"
        )
    return tables
