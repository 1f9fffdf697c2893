"""What this site allows, whatever others ask: pure decisions on public grounds.

A decision never depends on what the rows would give: it is taken from the project's terms, the dataset's description
and the query alone (a site that stays away because of a small cell would tell that the cell is small).
"""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from participant.data import Description
from participant.statistics import STATISTICS, Query, disclosure_of
from participant.statistics.query import MAX_PERSONS, Name, Strict, in_words
from participant.statistics.terms import ProjectTerms
from secagg import he
from secagg.errors import ParameterError
from secagg.messages import Suite
from secagg.params import MIN_SITES, Floors, LossRule, Profile

_PROFILES = {"semi-honest": Profile.SEMI_HONEST, "malicious": Profile.MALICIOUS}
_LOSS_RULES = {"continue": LossRule.CONTINUE, "pause": LossRule.PAUSE, "abort": LossRule.ABORT}
_SUITES = {"masks": Suite.X25519_MLKEM768_AES256, "he": Suite.X25519_MLKEM768_AES256_BFV}


class PolicyError(ParameterError):
    """The policy file is missing or wrong; says where."""


class RefusedError(ParameterError):
    """The site's policy does not allow this; the message names the rule and may be shown to the coordinator."""


class Policy(Strict):
    """The site's rules. Every default is the cautious choice.

    Attributes:
        minimum_rows: rows that the dataset of a project must have; with fewer the site declines to join.
        minimum_sites: sites in a roster.
        minimum_survivors: sites in any sum.
        profile: the weakest profile that is accepted.
        colluders_one_in: the epoch must bear ceil(n / this) - 1 colluding sites.
        loss_rule: the most that may go on after a site is lost: `continue`, `pause` or `abort`.
        single_persons: whether sums are allowed in which the values of one person can show (over all sites).
        minimum_persons: what a site's own numbers must stand for at least, unless single persons may show; a query says
            its floor, and what is below it is hidden inside the sum.
        modes: how sums may be made: `masks`, which the coordinator reads, and `he`, which the sites alone open.
        statistics, datasets: names that are allowed; None allows all.
    """

    minimum_rows: int = Field(default=10, ge=1)
    minimum_sites: int = Field(default=MIN_SITES, ge=MIN_SITES)
    minimum_survivors: int = Field(default=MIN_SITES, ge=MIN_SITES)
    profile: Literal["malicious", "semi-honest"] = "malicious"
    colluders_one_in: int = Field(default=3, ge=1)
    loss_rule: Literal["continue", "pause", "abort"] = "pause"
    single_persons: bool = False
    minimum_persons: int = Field(default=5, ge=1, le=MAX_PERSONS)
    modes: tuple[Literal["masks", "he"], ...] = Field(default=("masks", "he"), min_length=1)
    statistics: tuple[Name, ...] | None = None
    datasets: tuple[Name, ...] | None = None

    @classmethod
    def read(cls, path: Path) -> "Policy":
        """Read a policy from a TOML file.

        Raises:
            PolicyError: no such file, no TOML, an unknown rule, or a value that is not allowed.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")), strict=False)
        except FileNotFoundError:
            raise PolicyError(f"there is no policy at {path}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PolicyError(f"{path} is no TOML file: {error}") from None
        except ValidationError as error:
            raise PolicyError(f"{path}: {in_words(error)}") from None

    @property
    def floors(self) -> Floors:
        """What the protocol checks a manifest against."""
        return Floors(
            profile=_PROFILES[self.profile],
            sites=self.minimum_sites,
            survivors=self.minimum_survivors,
            colluders_one_in=self.colluders_one_in,
        )

    def check_project(self, terms: ProjectTerms, dataset: Description) -> None:
        """Decide whether the site joins a project.

        Raises:
            RefusedError: by which rule not.
        """
        if self.datasets is not None and terms.dataset not in self.datasets:
            raise RefusedError(f"dataset {terms.dataset} is not released for projects here")
        if dataset.rows < self.minimum_rows:
            raise RefusedError(f"the dataset has fewer rows than this site's floor of {self.minimum_rows}")
        if missing := sorted(set(terms.columns) - set(dataset.numeric)):
            raise RefusedError(f"the dataset lacks numeric columns: {', '.join(missing)}")
        for defined in terms.variables:
            held = next(one for one in dataset.columns if one.name == defined.code)
            if not held.means(defined):
                raise RefusedError(f"column {defined.code} is not coded as the project defines it; map it: data map")
        if unknown := sorted(set(terms.statistics) - set(STATISTICS)):
            raise RefusedError(f"this version does not know the statistics {', '.join(unknown)}")
        if self.statistics is not None and (refused := sorted(set(terms.statistics) - set(self.statistics))):
            raise RefusedError(f"the policy does not allow the statistics {', '.join(refused)}")
        if _PROFILES[terms.profile] < _PROFILES[self.profile]:
            raise RefusedError(f"the policy asks for the {self.profile} profile")
        self.check_mode(terms)
        self.check_loss_rule(_LOSS_RULES[terms.loss_rule])

    def check_loss_rule(self, rule: LossRule) -> None:
        """Raise RefusedError where a run would go on after a loss that this site wants to stop it."""
        if rule < _LOSS_RULES[self.loss_rule]:
            raise RefusedError(f"the policy asks that a run does not go beyond '{self.loss_rule}' when a site is lost")

    def check_mode(self, terms: ProjectTerms) -> None:
        """Raise RefusedError where sums would be made in a way that this site does not want, or has not installed."""
        if terms.mode not in self.modes:
            raise RefusedError(f"the policy does not allow sums in mode {terms.mode}")
        if terms.mode == "he" and not he.is_installed():
            raise RefusedError("mode he needs the extra `he`, which is not installed here: pip install 'secagg[he]'")

    def check_suite(self, suite: Suite, terms: ProjectTerms) -> None:
        """Raise RefusedError for a suite other than that of the mode in the terms, which the site must still allow."""
        if suite is not _SUITES[terms.mode]:
            raise RefusedError(f"the manifest's suite is not that of the project's terms, whose mode is {terms.mode}")
        self.check_mode(terms)

    def check_query(self, query: Query, terms: ProjectTerms) -> None:
        """Decide whether the site answers a query.

        Raises:
            RefusedError: by which rule not; TermsError: the query goes beyond the project's terms; QueryError: it is
                not of the vocabulary.
        """
        terms.check(query)
        if not self.single_persons and disclosure_of(query).singles_out:
            raise RefusedError("the policy does not allow sums in which the values of one person can show")
        if not self.single_persons and query.minimum_persons < self.minimum_persons:
            raise RefusedError(
                f"the policy asks that a site's numbers stand for at least {self.minimum_persons} persons, "
                f"the query for {query.minimum_persons}"
            )
