"""A query in plain words, for the people who decide whether to answer it."""

from dataclasses import dataclass

from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.language.conditions import in_words
from participant.statistics.language.inner import names_in


@dataclass(frozen=True, slots=True)
class InWords:
    """The computation that a site would carry out and the numbers that it would send, in words.

    Attributes:
        statistic: name and version of the statistic.
        dataset: name of the dataset.
        columns: columns that the query reads.
        rows: rows that the query covers, in a sentence.
        numbers: number of masked entries that leave the site.
        floor: treatment of small groups, in a sentence.
        tells: disclosure by the sum across all sites, in a few sentences.
    """

    statistic: str
    dataset: str
    columns: tuple[str, ...]
    rows: str
    numbers: int
    floor: str
    tells: str

    def __str__(self) -> str:
        return (
            f"{self.statistic} over dataset {self.dataset}: {self.numbers} numbers from the columns "
            f"{', '.join(self.columns)}.\n{self.rows}\n{self.floor}\n{self.tells}"
        )


def describe(bound: BoundQuery) -> InWords:
    """Describe a query in words."""
    query = bound.query
    rows = f"Rows in which {in_words(query.filter)}" if query.filter else "All rows"
    rows += (
        " that have a value in each of these columns." if query.missing == "complete-cases" else ", complete or not."
    )
    floor = (
        f"The sites open the sum together and hide in it what stands for fewer than {query.minimum_persons} persons of "
        "all sites. This site's own small groups are in it."
        if query.pooled
        else f"If any number stands for fewer than {query.minimum_persons} persons of this site, all are sent as zeros."
        if query.minimum_persons > 1
        else "Small groups are not hidden: a number can stand for a single person of this site."
    )
    return InWords(
        statistic=f"{' of '.join(names_in(query))} (version {query.version})",
        dataset=query.dataset,
        columns=query.needs,
        rows=rows,
        numbers=bound.layout.length,
        floor=floor,
        tells=bound.disclosure.tells,
    )
