"""The demonstration's outcome: secure and pooled results side by side, and whether the relay held any secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from coordinator.demo.canaries import Sighting
from coordinator.demo.lung import COX
from coordinator.demo.pooled import PooledCox, pooled, pooled_cox
from participant.analyses.survival.kaplan_meier import KaplanMeierResult
from participant.statistics.language.statistic import Columns

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DemoOutcome:
    """All facts that the demonstration reports.

    Attributes:
        estimate, estimate_se: coefficients and standard errors of the secure fit, by covariate.
        oracle: fit of lifelines on the same grid, over the sites in the last round of the secure fit.
        raw: fit of lifelines on the original times.
        rounds: number of rounds of the whole run.
        survivors: sites in the last round.
    """

    sites: list[str]
    killed: list[str]
    survivors: list[str]
    rounds: int
    estimate: dict[str, float]
    estimate_se: dict[str, float]
    oracle: PooledCox
    raw: PooledCox
    seconds: float
    run_seconds: float
    bytes_per_site: dict[str, int]
    canaries: int
    sightings: list[Sighting]
    figures: list[Path] = field(default_factory=list)

    @property
    def max_abs_diff(self) -> float:
        """Largest difference between a coefficient and the pooled fit on the same grid."""
        return _largest(self.estimate, self.oracle)

    @property
    def max_abs_diff_raw(self) -> float:
        """Largest difference between a coefficient and the pooled fit on the original times."""
        return _largest(self.estimate, self.raw)

    def as_facts(self) -> dict[str, Any]:
        """Return the report as one JSON object."""
        return {
            "sites": self.sites,
            "killed": self.killed,
            "survivors": self.survivors,
            "rounds": self.rounds,
            "estimate": self.estimate,
            "estimate_se": self.estimate_se,
            "pooled": dict(zip(self.oracle.names, self.oracle.coef.tolist(), strict=True)),
            "pooled_se": dict(zip(self.oracle.names, self.oracle.se.tolist(), strict=True)),
            "max_abs_diff": self.max_abs_diff,
            "max_abs_diff_raw_times": self.max_abs_diff_raw,
            "seconds": round(self.seconds, 2),
            "run_seconds": round(self.run_seconds, 2),
            "bytes_per_site": self.bytes_per_site,
            "relay_saw_plaintext": bool(self.sightings),
            "canaries_searched": self.canaries,
            "figures": [str(path) for path in self.figures],
        }

    def show(self, console: Console) -> None:
        """Print the outcome as text for people."""
        table = Table(title="Cox regression, weekly grid, Efron ties: secure sums and all patients in one table")
        for title in ("", "coef", "hazard ratio", "se", "pooled coef", "pooled HR", "pooled se", "difference"):
            table.add_column(title, justify="right" if title else "left")
        for i, name in enumerate(self.oracle.names):
            coef, pooled_coef = self.estimate[name], float(self.oracle.coef[i])
            table.add_row(
                name,
                f"{coef:.6f}",
                f"{np.exp(coef):.4f}",
                f"{self.estimate_se[name]:.6f}",
                f"{pooled_coef:.6f}",
                f"{np.exp(pooled_coef):.4f}",
                f"{float(self.oracle.se[i]):.6f}",
                f"{abs(coef - pooled_coef):.1e}",
            )
        console.print(table)
        console.print(
            f"{self.oracle.rows} patients with {self.oracle.events} deaths at {len(self.survivors)} surviving sites;"
            f" pooled fit by lifelines. Largest difference: {self.max_abs_diff:.1e}; on the original times in days:"
            f" {self.max_abs_diff_raw:.1e}."
        )
        sizes = Table(title="Sent to the coordinator")
        sizes.add_column("hospital")
        sizes.add_column("bytes", justify="right")
        sizes.add_column("")
        for name in self.sites:
            state = "[red]killed[/red]" if name in self.killed else ""
            sizes.add_row(name, f"{self.bytes_per_site.get(name, 0):,}", state)
        console.print(sizes)
        console.print(
            f"{self.rounds} rounds in {self.run_seconds:.1f} s, {self.run_seconds / self.rounds:.2f} s per round; "
            f"{self.seconds:.1f} s in all."
        )
        if self.sightings:
            console.print(f"[bold red]The relay holds plaintext: {len(self.sightings)} canaries found[/bold red]")
            for sighting in self.sightings[:10]:
                console.print(f"  {sighting.what} in {sighting.where}")
        else:
            console.print(
                f"The relay's database, payloads and log were searched for {self.canaries:,} canaries (pieces of every "
                "vector, values of every dataset, keys); none was found."
            )
        console.print("Figures: " + ", ".join(str(path) for path in self.figures))


def oracles(tables: Mapping[str, Columns], sites: list[str]) -> tuple[PooledCox, PooledCox]:
    """Return the pooled fits over the given sites, on the grid and on the original times."""
    together = pooled(tables[site] for site in sites)
    return pooled_cox(together, COX), pooled_cox(together, COX, on_grid=False)


def curve(facts: dict[str, Any]) -> KaplanMeierResult:
    """Return the Kaplan-Meier result from a run's report."""
    fields: dict[str, Any] = {name: content for name, content in facts.items() if name != "analysis"}
    for name, content in fields.items():
        if isinstance(content, list) and name not in {"sites", "warnings"}:
            fields[name] = np.array([np.nan if value is None else value for value in content], np.float64)
    return KaplanMeierResult(**fields | {name: tuple(facts[name]) for name in ("sites", "warnings")})


def _largest(estimate: Mapping[str, float], fit: PooledCox) -> float:
    return max(abs(estimate[name] - float(coef)) for name, coef in zip(fit.names, fit.coef, strict=True))
