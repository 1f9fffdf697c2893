"""Who was let in lately, and for how long."""

from relay.server.limits.role_cache import KEEP_S, MOST, RoleCache

PLACE = (bytes(32), "post_message", ("a-run",))


def test_a_role_is_remembered_for_a_while_and_at_its_place():
    admissions = RoleCache()
    admissions.remember(PLACE, "site", 100.0)
    assert admissions.role(PLACE, 100.0 + KEEP_S / 2) == "site"
    assert admissions.role((PLACE[0], "post_message", ("another-run",)), 100.0) == ""
    assert admissions.role((bytes([1]) * 32, *PLACE[1:]), 100.0) == ""


def test_it_is_forgotten_in_time_and_when_the_clock_goes_back():
    admissions = RoleCache()
    admissions.remember(PLACE, "site", 100.0)
    assert admissions.role(PLACE, 100.0 + KEEP_S) == ""
    assert admissions.role(PLACE, 99.0) == ""


def test_the_oldest_are_forgotten_when_there_are_too_many():
    admissions = RoleCache()
    for number in range(MOST + 1):
        admissions.remember((number.to_bytes(32, "big"), "post_message", ()), "site", 1.0)
    assert admissions.role((bytes(32), "post_message", ()), 1.0) == ""
    assert admissions.role((MOST.to_bytes(32, "big"), "post_message", ()), 1.0) == "site"
