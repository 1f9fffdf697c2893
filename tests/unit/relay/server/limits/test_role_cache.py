"""The cache of recently admitted identities, and how long an entry lasts."""

from relay.server.limits.role_cache import KEEP_S, MOST, RoleCache

KEY = (bytes(32), "post_message", ("a-run",))


def test_a_role_is_remembered_for_a_while_and_at_its_place():
    role_cache = RoleCache()
    role_cache.remember(KEY, "site", 100.0)
    assert role_cache.role(KEY, 100.0 + KEEP_S / 2) == "site"
    assert role_cache.role((KEY[0], "post_message", ("another-run",)), 100.0) == ""
    assert role_cache.role((bytes([1]) * 32, *KEY[1:]), 100.0) == ""


def test_it_is_forgotten_in_time_and_when_the_clock_goes_back():
    role_cache = RoleCache()
    role_cache.remember(KEY, "site", 100.0)
    assert role_cache.role(KEY, 100.0 + KEEP_S) == ""
    assert role_cache.role(KEY, 99.0) == ""


def test_the_oldest_are_forgotten_when_there_are_too_many():
    role_cache = RoleCache()
    for number in range(MOST + 1):
        role_cache.remember((number.to_bytes(32, "big"), "post_message", ()), "site", 1.0)
    assert role_cache.role((bytes(32), "post_message", ()), 1.0) == ""
    assert role_cache.role((MOST.to_bytes(32, "big"), "post_message", ()), 1.0) == "site"
