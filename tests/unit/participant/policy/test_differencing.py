"""A site's defence against differencing nearly equal answers: rows are kept apart inside the vector, sets visibly."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from participant.data.store.store import DatasetStore
from participant.policy.answer import Answer, answer, distances
from participant.policy.differencing import (
    AnsweredRows,
    Earlier,
    Mask,
    People,
    SignedSet,
    apart,
    distance,
    secret_order,
    too_near,
)
from participant.records.ledger import TABLES, Ledger
from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.registry import MOMENTS
from participant.statistics.language.conditions import Comparison
from participant.statistics.language.query import Query
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.moments import MomentsParams
from relay.api.wire import to_base64url
from relay.party.journal import Journal
from tests.support.tables import import_csv

RUN, OTHER = UUID(int=1), UUID(int=2)
KEY = b"k" * 32
ROWS = 40
masks = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).map(lambda bits: np.array(bits, np.bool_))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "party", TABLES)
    yield made
    made.close()


# Rows --------------------------------------------------------------------------------------------------------------


@given(
    asked=st.lists(masks, min_size=1, max_size=8),
    changes=st.lists(st.tuples(st.integers(0, 7), st.sets(st.integers(0, ROWS - 1), max_size=5)), max_size=8),
    usable=masks,
    floor=st.integers(2, 6),
    per_person=st.integers(1, 3),
)
def test_answers_are_equal_or_apart_whatever_is_asked(
    asked: list[Mask], changes: list[tuple[int, set[int]]], usable: Mask, floor: int, per_person: int
) -> None:
    """Pitfall 10, recipe 18: no two answers of a site differ in 1 to floor - 1 persons, and each is of usable rows."""
    people = People(None if per_person == 1 else np.arange(ROWS) // per_person * 1.0)
    questions = [*asked]
    for at, rows in changes:  # questions that differ by little from others
        nearly = questions[at % len(questions)].copy()
        nearly[list(rows)] ^= True
        questions.append(nearly)
    order, answered = secret_order(KEY, "lung", 1, ROWS), []
    for rows in questions:
        made = apart(rows & usable, usable, answered, floor, people, order)
        assert not (made & ~usable).any()
        if people.count(made) < floor:  # it is sent as zeros, and remembered by nobody
            continue
        gaps = [distance(made, one, people) for one in answered]
        assert all(gap == 0 or gap >= floor for gap in gaps)
        answered.append(Earlier(made, 0))


@given(asked=masks, floor=st.integers(2, 6))
def test_what_is_far_from_everything_is_answered_exactly(asked: Mask, floor: int) -> None:
    everybody = np.ones(ROWS, np.bool_)
    order = secret_order(KEY, "lung", 1, ROWS)
    for earlier in ([], [Earlier(asked, 0)], [Earlier(np.zeros(ROWS, np.bool_), 100)]):
        assert (apart(asked, everybody, earlier, floor, People(), order) == asked).all()


def test_a_near_question_gets_the_rows_of_the_earlier_answer() -> None:
    earlier = np.arange(ROWS) < 30
    everybody, order = np.ones(ROWS, np.bool_), secret_order(KEY, "lung", 1, ROWS)
    for change in ((3,), (3, 20), (38, 39)):
        asked = earlier.copy()
        asked[list(change)] ^= True
        assert (apart(asked, everybody, [Earlier(earlier, 0)], 5, People(), order) == earlier).all()


def test_where_values_are_missing_further_persons_are_left_out_by_a_secret_order() -> None:
    earlier, usable = np.arange(ROWS) < 30, np.arange(ROWS) != 7
    asked = earlier & usable
    made = {
        key: apart(asked, usable, [Earlier(earlier, 0)], 5, People(), secret_order(key, "lung", 1, ROWS))
        for key in (KEY, b"l" * 32)
    }
    for rows in made.values():
        assert np.count_nonzero(earlier & ~rows) == 5
        assert not (rows & ~asked).any()
    assert (made[KEY] != made[b"l" * 32]).any()


def test_persons_are_counted_and_not_their_rows() -> None:
    """Five visits of one patient are one person."""
    people, everybody = People(np.arange(ROWS) // 5 * 1.0), np.ones(ROWS, np.bool_)
    asked = np.arange(ROWS) < 35
    assert distance(asked, Earlier(everybody, 0), people) == 1
    assert apart(asked, everybody, [Earlier(everybody, 0)], 2, people, secret_order(KEY, "lung", 1, ROWS)).all()


# Over a dataset and its versions -----------------------------------------------------------------------------------


def moments(above: float, floor: int = 5) -> Query:
    params = MomentsParams(variables=(Variable(column="age", low=0, high=200),), row_limit=1000)
    wanted = (Comparison(column="age", op=">=", value=above),)
    return MOMENTS.query(params, dataset="lung", value_bits=40, minimum_persons=floor, filter=wanted)


class Site:
    """A site that answers, and remembers what it answered with."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder, self.journal = folder, journal
        self.store = DatasetStore(folder / "datasets")
        self.records = AnsweredRows(journal.connection)

    def imports(self, ages: list[int]) -> None:
        path = self.folder / "lung.csv"
        path.write_text("age,ward\n" + "".join(f"{age},w{age % 7}\n" for age in ages))
        import_csv(self.store, "lung", path)

    def answers(self, query: Query) -> Answer:
        made = answer(bind(query), self.store, self.records.row_sets("lung"), self.records.key())
        with self.journal.transaction():
            self.records.answer("lung", made.to_remember)
        return made

    def count(self, query: Query) -> int:
        """How many rows the answer says that it is of."""
        return int(bind(query).layout.unflatten(self.answers(query).vector)["rows"])


@pytest.fixture
def site(tmp_path: Path, journal: Journal) -> Site:
    made = Site(tmp_path, journal)
    made.imports(list(range(20, 120)))
    return made


def test_a_question_about_one_patient_fewer_gets_the_same_answer(site: Site) -> None:
    """Pitfall 31: nobody sees a refusal, and the two answers are equal; five patients fewer are another question."""
    first, nearly, far = (site.answers(moments(above)) for above in (50, 51, 55))
    assert (first.vector == nearly.vector).all()
    assert (first.moved, nearly.moved, far.moved) == (0, 1, 0)
    assert first.rows == nearly.rows != far.rows
    assert (far.vector != first.vector).any()
    assert distances(bind(moments(53)), site.store, site.records.row_sets("lung")) == {first.rows: 3, far.rows: 2}


def test_rows_below_the_floor_are_remembered_where_the_floor_is_that_of_all_sites(site: Site) -> None:
    """They are in the sum: of the three oldest and the two oldest, the difference would be one."""
    three, two = (moments(above).model_copy(update={"pooled": True}) for above in (117, 118))
    assert site.count(three) == 3
    assert (site.answers(two).moved, site.count(two)) == (1, 3)


def test_without_a_floor_answers_are_exact(site: Site) -> None:
    for above in (50, 51):
        query = moments(above, floor=1)
        table = site.store.load("lung", query.needs)
        assert (site.answers(query).vector == evaluate(bind(query), table)).all()


def test_what_was_sent_as_zeros_is_not_remembered(site: Site) -> None:
    few = site.answers(moments(117))
    assert not few.vector.any()
    assert site.records.row_sets("lung") == []


def test_the_same_site_answers_the_same_question_alike(site: Site) -> None:
    assert (site.answers(moments(50)).vector == site.answers(moments(50)).vector).all()


def test_new_patients_show_once_they_are_as_many_as_the_floor(site: Site) -> None:
    """Pitfall 10: a cohort that varies by a patient."""
    before = site.count(moments(50))
    site.imports([*range(20, 120), 130, 131, 132, 133])
    assert site.count(moments(50)) == before
    site.imports([*range(20, 120), 130, 131, 132, 133, 134])
    assert site.count(moments(50)) == before + 5


def test_a_patient_who_withdrew_takes_others_along(site: Site) -> None:
    before = site.count(moments(50))
    site.imports([age for age in range(20, 120) if age != 70])
    made = site.answers(moments(50))
    assert bind(made.query).layout.unflatten(made.vector)["rows"] == before - 5
    assert made.moved == 4
    assert site.count(moments(50)) == before - 5  # and again the same


def test_rows_of_equal_content_are_matched_one_to_one(site: Site) -> None:
    site.imports([60] * 50 + [61] * 50)
    before = site.count(moments(61))
    site.imports([61] * 50 + [60] * 47)  # in another order, and three fewer of those who are not asked for
    assert site.count(moments(61)) == before == 50
    assert site.answers(moments(61)).moved == 0


def test_a_version_that_was_dropped_before_the_comparison_is_not_known(site: Site) -> None:
    site.answers(moments(50))
    site.store.drop("lung", 1)
    site.imports([age for age in range(20, 120) if age != 70])
    assert site.answers(moments(50)).moved == 0


# Sites -------------------------------------------------------------------------------------------------------------


def keys(*sites: int) -> frozenset[bytes]:
    return frozenset(bytes([site]) * 32 for site in sites)


def test_a_set_is_equal_to_one_that_stands_or_far_from_all() -> None:
    """Pitfall 30, recipe 18."""
    all_six = SignedSet(keys(1, 2, 3, 4, 5, 6), RUN, retired=False)
    assert too_near(keys(1, 2, 3, 4, 5, 6), [all_six], 4) == []
    assert too_near(keys(1, 2, 3, 4, 5), [all_six], 4)[0] is all_six
    assert too_near(keys(1, 2, 7, 8, 9, 10), [all_six], 4) == []
    assert too_near(keys(1, 2, 3), [all_six], 4)[0] is all_six
    assert too_near(keys(1, 2, 3), [all_six], 3) == []
    assert too_near(keys(1, 2, 3, 4, 5), [all_six], 1) == []


def test_a_set_that_was_replaced_does_not_come_again() -> None:
    replaced, smaller = (SignedSet(keys(*range(1, n)), RUN, retired=n == 7) for n in (7, 6))
    assert too_near(replaced.keys, [replaced, smaller], 4)[0] is replaced
    assert too_near(smaller.keys, [replaced, smaller], 4) == []


def test_a_provisional_set_permits_no_other_run_until_it_is_signed_for_good(journal: Journal) -> None:
    records = AnsweredRows(journal.connection)
    larger, smaller = keys(1, 2, 3, 4), keys(1, 2, 3)
    records.sign("lung", RUN, larger)
    records.sign("lung", OTHER, smaller, provisional=True)
    assert [one.keys for one in too_near(smaller, records.signed_sets("lung"), 3)] == [larger]
    assert too_near(larger, records.signed_sets("lung"), 3) == []
    records.sign("lung", OTHER, smaller)
    records.sign("lung", OTHER, smaller, provisional=True)
    assert too_near(smaller, records.signed_sets("lung"), 3) == []


def test_sets_are_kept_by_dataset_and_retired(journal: Journal) -> None:
    records = AnsweredRows(journal.connection)
    larger, smaller = keys(1, 2, 3, 4), keys(1, 2, 3)
    records.sign("lung", RUN, larger)
    records.sign("lung", RUN, smaller, instead_of=larger)
    records.sign("heart", OTHER, larger)
    assert records.signed_sets("lung") == [SignedSet(larger, RUN, retired=True), SignedSet(smaller, RUN, retired=False)]
    assert records.signed_sets("heart") == [SignedSet(larger, OTHER, retired=False)]


def test_a_ledger_tells_a_restored_journal_which_sets_were_signed(journal: Journal) -> None:
    with journal.transaction() as batch:
        for run, sites in ((RUN, keys(1, 2, 3, 4)), (OTHER, keys(1, 2, 3, 4)), (OTHER, keys(1, 2, 3))):
            named = [to_base64url(key) for key in sorted(sites)]
            Ledger(batch.connection).enter(
                {"what": "survivors", "run": str(run), "dataset": "lung", "round": 1, "sites": named}
            )
    records = AnsweredRows(journal.connection)
    records.relearn(Ledger(journal.connection).entries())
    assert [(one.keys, one.retired) for one in records.signed_sets("lung")] == [
        (keys(1, 2, 3, 4), True),
        (keys(1, 2, 3), False),
    ]
