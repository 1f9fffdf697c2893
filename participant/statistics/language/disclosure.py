"""What a released sum tells: in words for people, and in fields that a site's policy can act on.

Nothing here is computed from data. A site decides on these grounds before a round, never on what its rows would give:
who declined because of a small cell would tell that the cell is small.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reveals(StrEnum):
    """What is learnt about the people whom an entry of the sum stands for."""

    COUNT = "count"
    VALUES = "values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """People whom one entry of the sum, or the difference of two entries, stands for - across all sites.

    Attributes:
        blocks: names of the arrays in which the group shows.
        people: who is in the group, in words.
        reveals: how many they are, or sums of their values as well.
        one_person: it can be a single person even without a filter.
        resolution: width of the interval that makes the group, in units of the time column, or None.
    """

    blocks: tuple[str, ...]
    people: str
    reveals: Reveals
    one_person: bool
    resolution: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What a site should know before it agrees to a statistic.

    Attributes:
        tells: what the sum over the sites tells, with its worst case.
        groups: the groups that it shows, the widest first.
        minimum_rows: rows that a site's whole dataset should have, before any filter. A site's own sum is never shown,
            but the other sites together could subtract theirs.
        filtered: the query has a filter, which can make any group a single person.
    """

    tells: str
    groups: tuple[Group, ...]
    minimum_rows: int
    filtered: bool = False

    @property
    def singles_out(self) -> bool:
        """Whether the values of one person can show."""
        return any(group.reveals is Reveals.VALUES and (group.one_person or self.filtered) for group in self.groups)


def of_model(sums: str, *, blocks: tuple[str, ...], minimum_rows: int = 10) -> Disclosure:
    """Return what sums over all rows tell that a model is fitted to; `sums` says in a sentence which they are."""
    return Disclosure(
        tells=(
            f"{sums} A covariate that is 0 for all but a few rows, or whose range leaves few rows inside, makes sums "
            "over these few: ask for a floor (minimum_persons). If the filter leaves one or two rows across all sites, "
            "their values show; with as many covariates as rows, all of them do."
        ),
        groups=(
            Group(
                blocks=blocks,
                people="complete rows that meet the filter",
                reveals=Reveals.VALUES,
                one_person=False,
            ),
        ),
        minimum_rows=minimum_rows,
    )


def of_cells(sums: str, cells: str, *, blocks: tuple[str, ...], reveals: Reveals) -> Disclosure:
    """Return what numbers for disjoint groups tell; `sums` says in a sentence which they are, `cells` who is in one."""
    return Disclosure(
        tells=(
            f"{sums} A cell can hold few rows, across all sites too, unless the query asks for a floor "
            "(minimum_persons), at which a site hides its small cells."
        ),
        groups=(Group(blocks=blocks, people=cells, reveals=reveals, one_person=True),),
        minimum_rows=5,
    )
