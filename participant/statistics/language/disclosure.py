"""Disclosure by a released sum: in words for people, and in fields that a site's policy can act on.

Nothing here is computed from data. A site decides on this basis before a round, never on what its rows would yield:
declining because of a small cell would disclose that the cell is small.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reveals(StrEnum):
    """The kind of information that an entry of the sum discloses about the people it covers."""

    COUNT = "count"
    VALUES = "values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The people, across all sites, covered by one entry of the sum or by the difference of two entries.

    Attributes:
        blocks: names of the arrays that show the group.
        people: members of the group, in words.
        reveals: whether the entries reveal only the group's size, or also sums of its members' values.
        one_person: whether the group can be a single person even without a filter.
        resolution: width of the interval that defines the group, in units of the time column, or None.
    """

    blocks: tuple[str, ...]
    people: str
    reveals: Reveals
    one_person: bool
    resolution: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """Facts that a site should know before it agrees to a statistic.

    Attributes:
        tells: disclosure by the sum over the sites, in words, including the worst case.
        groups: groups of people that the sum shows, largest first.
        minimum_rows: minimum number of rows of a site's dataset, before any filter. A site's own sum is never shown,
            but the other sites together could subtract theirs.
        filtered: whether the query has a filter, which can reduce any group to a single person.
    """

    tells: str
    groups: tuple[Group, ...]
    minimum_rows: int
    filtered: bool = False

    @property
    def singles_out(self) -> bool:
        """Whether the sum can reveal a single person's values."""
        return any(group.reveals is Reveals.VALUES and (group.one_person or self.filtered) for group in self.groups)


def of_model(sums: str, *, blocks: tuple[str, ...], minimum_rows: int = 10) -> Disclosure:
    """Return the disclosure of a model's sums over all rows; `sums` describes them in a sentence."""
    return Disclosure(
        tells=(
            f"{sums} A covariate that is 0 for all but a few rows, or whose range includes few rows, makes sums "
            "over these few: require a floor (minimum_persons). If the filter leaves one or two rows across all sites, "
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
    """Return the disclosure of numbers for disjoint groups; `sums` describes them, `cells` one group's members."""
    return Disclosure(
        tells=(
            f"{sums} A cell can hold few rows, even across all sites, unless the query has a floor "
            "(minimum_persons), below which a site hides its cells."
        ),
        groups=(Group(blocks=blocks, people=cells, reveals=reveals, one_person=True),),
        minimum_rows=5,
    )
