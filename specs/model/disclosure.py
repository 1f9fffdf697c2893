"""The disclosure rules over all small tables: what the answers to a plan tell about groups below the floor.

Spec: 00-threat-model §3.2, §3.11. A patient has a sex (0, 1) and is ill or not, so a table is four counts. The
adversary knows the rules, the plan and the answers, and nothing else of the table. A plan asks one or two questions of
a small language. For every table, the tables with the same answers are those that the adversary cannot rule out; a
group is *proven small* if they all agree that it has a particular number of patients between 1 and the floor less 1.
Two tables that differ in one patient are *told apart* if their answers differ.

Rules: `none`; `site`, where each site hides small answers of its own (mode masks), and the table is that of a site
whose fellows all share theirs with the adversary; `pooled`, where what the sites open together is withheld below the
floor (mode he), and the table is that of all sites. In the last two, the rows of a second answer equal those of the
first, or are far from them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import chain, combinations, product
from typing import NamedTuple

FLOOR = 3
MOST = 3
"""Largest number of patients of one kind in the tables that are judged; the adversary reckons with `FLOOR` more."""

Kind = tuple[int, int]  # sex, ill
KINDS: tuple[Kind, ...] = tuple(product((0, 1), repeat=2))
Table = tuple[int, ...]  # patients of each kind
POSSIBLE: tuple[Table, ...] = tuple(product(range(MOST + FLOOR + 1), repeat=len(KINDS)))
TABLES: tuple[Table, ...] = tuple(table for table in POSSIBLE if max(table) <= MOST)
GROUPS = tuple(chain.from_iterable(combinations(range(len(KINDS)), size) for size in range(1, len(KINDS) + 1)))
Answer = tuple[int | None, ...]


class Question(NamedTuple):
    """Counts of the patients of each cell, among those that a filter admits; one cell is a count, two are a sum of it.

    Attributes:
        name: name in the table.
        admits: filter.
        cell: number of a patient's cell.
        cells: number of cells.
        merges: whether neighbouring cells are merged until none is small, rather than hidden.
    """

    name: str
    admits: Callable[[Kind], bool]
    cell: Callable[[Kind], int]
    cells: int
    merges: bool = False


def _everybody(_kind: Kind) -> bool:
    return True


QUESTIONS = (
    Question("count", _everybody, lambda _: 0, 1),
    Question("count, sex 1", lambda kind: kind[0] == 1, lambda _: 0, 1),
    Question("count, not (sex 1 and ill)", lambda kind: kind != (1, 1), lambda _: 0, 1),
    Question("ill", _everybody, lambda kind: kind[1], 2),
    Question("ill, sex 1", lambda kind: kind[0] == 1, lambda kind: kind[1], 2),
    Question("table of sex", _everybody, lambda kind: kind[0], 2),
    Question("table of sex and illness", _everybody, KINDS.index, 4),
    Question("merged grid", _everybody, KINDS.index, 4, merges=True),
)


def plans() -> Iterator[tuple[Question, ...]]:
    """Yield all plans: each question, and each pair."""
    for one in QUESTIONS:
        yield (one,)
    yield from combinations(QUESTIONS, 2)


def exact(plan: tuple[Question, ...], table: Table) -> tuple[Answer, ...]:
    return tuple(_counts(one, _rows(one, table)) for one in plan)


def by_site(plan: tuple[Question, ...], table: Table) -> tuple[Answer, ...]:
    return tuple(_by_site(one, rows) for one, rows in zip(plan, _apart(plan, table), strict=True))


def pooled(plan: tuple[Question, ...], table: Table) -> tuple[Answer, ...]:
    return tuple(_pooled(one, rows) for one, rows in zip(plan, _apart(plan, table), strict=True))


RULES = {"none": exact, "site": by_site, "pooled": pooled}


def _rows(question: Question, table: Table) -> Table:
    return tuple(number if question.admits(kind) else 0 for kind, number in zip(KINDS, table, strict=True))


def _apart(plan: tuple[Question, ...], table: Table) -> list[Table]:
    """Return the rows of each answer; those near to the rows of an earlier answer are the earlier ones."""
    found: list[Table] = []
    for question in plan:
        asked = _rows(question, table)
        if sum(asked) >= FLOOR:
            near = (one for one in found if sum(one) >= FLOOR and 0 < _distance(asked, one) < FLOOR)
            asked = next(near, asked)
        found.append(asked)
    return found


def _distance(one: Table, other: Table) -> int:
    differences = [first - second for first, second in zip(one, other, strict=True)]
    return max(sum(gap for gap in differences if gap > 0), -sum(gap for gap in differences if gap < 0))


def _counts(question: Question, rows: Table) -> Answer:
    counts = [0] * question.cells
    for kind, number in zip(KINDS, rows, strict=True):
        counts[question.cell(kind)] += number
    return tuple(counts)


def _by_site(question: Question, rows: Table) -> Answer:
    """Return a site's answer: zeros if anything in it is small, with the lanes `asked` and `answered`."""
    asked = sum(rows) if sum(rows) >= FLOOR else 0
    counts = _counts(question, rows)
    if not asked or any(map(_is_small, counts)):
        return (*[0] * question.cells, asked, 0)
    return (*counts, asked, asked)


def _pooled(question: Question, rows: Table) -> Answer:
    """Return what is published of the opened sum: without small cells, and others that would tell them."""
    counts = _counts(question, rows)
    if question.merges:
        return _merged(counts)
    if 0 < sum(counts) < FLOOR:
        return (None,) * question.cells
    hidden = _hides(counts)
    return tuple(None if is_hidden else count for count, is_hidden in zip(counts, hidden, strict=True))


def _merged(counts: Answer) -> Answer:
    """Merge neighbours, from the first on, until each has the floor; the last takes what is left."""
    merged, open_ = [], 0
    for count in counts:
        open_ += count or 0
        if open_ >= FLOOR:
            merged.append(open_)
            open_ = 0
    if open_ and merged:
        merged[-1] += open_
    return tuple(merged)


def _hides(counts: Answer) -> list[bool]:
    """Hide small cells with the next larger ones, as `participant.statistics.evaluation.suppression` does."""
    numbers = [count or 0 for count in counts]
    if not any(map(_is_small, numbers)):
        return [False] * len(numbers)
    for level in sorted({max(number, FLOOR - 1) for number in numbers}):
        hidden = [0 < number <= level for number in numbers]
        together = sum(number for number, is_hidden in zip(numbers, hidden, strict=True) if is_hidden)
        if together > max(FLOOR, sum(hidden) * (FLOOR - 1)):
            break
    return hidden


def _is_small(number: int | None) -> bool:
    return number is not None and 0 < number < FLOOR


class Found(NamedTuple):
    """Of all tables and neighbouring pairs under a plan and a rule.

    Attributes:
        small: share of tables in which some group is proven small.
        apart: share of pairs of tables, one patient apart, whose answers differ.
    """

    small: float
    apart: float


def search(plan: tuple[Question, ...], rule: str) -> Found:
    """Return what a plan tells under a rule."""
    answers = {table: RULES[rule](plan, table) for table in POSSIBLE}
    alike: dict[tuple[Answer, ...], list[Table]] = defaultdict(list)
    for table, answer in answers.items():
        alike[answer].append(table)
    proves = {answer: any(_proves(tables, group) for group in GROUPS) for answer, tables in alike.items()}
    proven = sum(proves[answers[table]] for table in TABLES)
    pairs = [
        (table, _with_one_more(table, kind)) for table in TABLES for kind in range(len(KINDS)) if table[kind] < MOST
    ]
    told = sum(answers[one] != answers[other] for one, other in pairs)
    return Found(proven / len(TABLES), told / len(pairs))


def _proves(tables: list[Table], group: tuple[int, ...]) -> bool:
    sizes = {sum(table[kind] for kind in group) for table in tables}
    return len(sizes) == 1 and _is_small(sizes.pop())


def _with_one_more(table: Table, kind: int) -> Table:
    return (*table[:kind], table[kind] + 1, *table[kind + 1 :])


def report() -> str:
    """Return the table for `specs/model/disclosure.md`; of a pair's two orders, the one that tells more."""
    lines = ["| plan | proven: none | site | pooled | apart: none | site | pooled |", "|---|---|---|---|---|---|---|"]
    for plan in plans():
        orders = tuple(dict.fromkeys((plan, plan[::-1])))
        found = {rule: [search(order, rule) for order in orders] for rule in RULES}
        numbers = [f"{max(one.small for one in found[rule]):.1%}" for rule in RULES]
        numbers += [f"{max(one.apart for one in found[rule]):.0%}" for rule in RULES]
        lines.append(f"| {'; '.join(one.name for one in plan)} | {' | '.join(numbers)} |")
    return "\n".join(lines)
