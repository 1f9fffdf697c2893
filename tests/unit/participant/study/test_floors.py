"""Terms that say whose floors hold: each site's own, as in all earlier terms, or those of all sites together."""

from pathlib import Path

import pytest

from coordinator.projects.projects import read_terms
from participant.policy.rules import Offer, Policy
from participant.statistics.evaluation.registry import COUNTS
from participant.statistics.vocabulary.counts import CountsParams
from participant.study.terms import ProjectTerms, TermsError
from tests.support.default_sites import PROJECT

COMMON = {"purpose": "p", "dataset": "lung", "columns": ("age",), "statistics": ("counts",)}
POOLED = ProjectTerms(**COMMON, mode="he", publish=True, floors="pooled")
QUERY = COUNTS.query(
    CountsParams(columns=("age",), row_limit=10), dataset="lung", value_bits=40, minimum_persons=5
).model_copy(update={"columns": ("age",)})


def test_terms_of_before_keep_their_bytes_and_meaning() -> None:
    plain = ProjectTerms(**COMMON, mode="he", publish=True)
    assert b"floors" not in plain.encode()
    assert not ProjectTerms.decode(plain.encode()).pooled
    assert ProjectTerms.decode(POOLED.encode()).pooled


@pytest.mark.parametrize("members", [{}, {"mode": "he"}])
def test_floors_over_all_sites_need_sites_that_open_and_publish(members: dict) -> None:
    with pytest.raises(ValueError, match="pooled floors need mode he and publish"):
        ProjectTerms(**COMMON, **members, floors="pooled")


@pytest.mark.parametrize("terms", [POOLED, ProjectTerms(**COMMON)])
def test_a_query_with_other_floors_than_the_terms_is_refused(terms: ProjectTerms) -> None:
    """A site would otherwise send numbers without any floor to a coordinator that learns every sum."""
    terms.check(QUERY.model_copy(update={"pooled": terms.pooled}))
    with pytest.raises(TermsError, match="floors"):
        terms.check(QUERY.model_copy(update={"pooled": not terms.pooled}))


@pytest.mark.parametrize(
    ("lines", "floors"),
    [
        ("", "site"),
        ('mode = "he"', "site"),
        ('mode = "he"\npublish = true', "pooled"),
        ('mode = "he"\npublish = true\nfloors = "site"', "site"),
    ],
)
def test_a_file_that_lets_the_sites_publish_has_floors_over_all_of_them(
    tmp_path: Path, lines: str, floors: str
) -> None:
    path = tmp_path / "terms.toml"
    path.write_text(f'purpose = "p"\ndataset = "lung"\ncolumns = ["age"]\nstatistics = ["counts"]\n{lines}\n')
    terms = read_terms(path)
    assert terms.floors == floors
    Policy().check_offer(Offer(PROJECT, bytes(32), terms))
