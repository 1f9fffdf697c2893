"""Amendments that a site refuses: of another author, of another version, and two of one version."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from secagg.amendment import FIRST_VERSION, AmendedRoster, Amendment, versions
from secagg.errors import DecodeError, FaultyCoordinatorError
from secagg.identity import Identity, Roster

HEAD, OTHER = Identity(bytes(32)), Identity(b"o" * 32)
SITES = [Identity(bytes([n]) * 32).public for n in (1, 2, 3)]
BASE = AmendedRoster(FIRST_VERSION, Roster.of(bytes(16), b"first", HEAD.public, SITES), b"first")
SECOND = Amendment.sign(HEAD, BASE, b"second")
THIRD = Amendment.sign(HEAD, SECOND.follow(BASE), b"third")


def refused(check: str, act: Callable[[], object]) -> None:
    with pytest.raises(FaultyCoordinatorError) as refusal:
        act()
    assert refusal.value.check == check


def test_versions_follow_each_other_in_any_order_and_keep_the_keys() -> None:
    elsewhere = AmendedRoster(FIRST_VERSION, Roster.of(bytes(16), b"first", HEAD.public, SITES[:2]), b"first")
    found = [THIRD, Amendment.sign(HEAD, elsewhere, b"x"), SECOND, Amendment.decode(SECOND.encode())]
    made = versions(BASE, found)
    assert [(one.version, one.terms) for one in made] == [(1, b"first"), (2, b"second"), (3, b"third")]
    assert {(one.roster.coordinator, one.roster.sites) for one in made} == {(HEAD.public, tuple(sorted(SITES)))}
    assert len({one.roster.digest() for one in made}) == 3
    assert versions(BASE, [THIRD]) == (BASE,)  # what the relay withholds ends the chain


def test_V_0801_an_amendment_that_the_coordinator_did_not_sign() -> None:
    forged = Amendment.sign(OTHER, BASE, b"second")
    refused("V-0801", lambda: forged.follow(BASE))
    refused("V-0801", lambda: versions(BASE, [SECOND, forged]))
    for changed in ({"terms": b"other"}, {"version": 3}, {"before": bytes(32)}):
        refused("V-0801", lambda changed=changed: replace(SECOND, **changed).follow(BASE))
    assert FaultyCoordinatorError


def test_V_0802_an_amendment_of_another_version() -> None:
    refused("V-0802", lambda: THIRD.follow(BASE))
    late = Amendment.sign(HEAD, BASE._replace(version=5), b"second")
    refused("V-0802", lambda: versions(BASE, [late]))
    assert FaultyCoordinatorError


def test_V_0803_two_amendments_of_one_version() -> None:
    refused("V-0803", lambda: versions(BASE, [SECOND, Amendment.sign(HEAD, BASE, b"another")]))
    assert FaultyCoordinatorError


def test_bytes_that_are_no_amendment() -> None:
    for data in (b"", SECOND.encode()[:-1], SECOND.encode() + b"x"):
        with pytest.raises(DecodeError):
            Amendment.decode(data)
