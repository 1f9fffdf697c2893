"""One spelling for every value on the wire."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relay.api.wire import (
    Announcement,
    Enrolment,
    MemberAnswer,
    NewProject,
    NewRun,
    RosterSites,
    RunChange,
    Site,
    encode,
    from_base64url,
    parse,
    to_base64url,
)

KEY = to_base64url(bytes(range(32)))


@given(st.binary(max_size=200))
def test_base64url_round_trip(data):
    assert from_base64url(to_base64url(data)) == data


@given(st.text(max_size=60))
def test_every_text_is_the_only_spelling_of_its_bytes_or_refused(text):
    try:
        data = from_base64url(text)
    except ValueError:
        return
    assert to_base64url(data) == text


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (Enrolment, {"token": "t" * 30, "name": "a", "key": KEY}),
        (NewProject, {"name": "a", "terms": ""}),
        (MemberAnswer, {"state": "joined"}),
        (RosterSites, {"sites": [KEY]}),
        (NewRun, {"name": "a"}),
        (RunChange, {"from": "created", "to": "preparing"}),
        (Announcement, {"size": 1, "digest": KEY, "to": "all"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_requests_are_strict(kind, document):
    again = json.loads(encode(parse(kind, json.dumps(document).encode())))
    assert document.items() <= again.items()
    for broken in (
        document | {"more": 1},
        {name: value for name, value in document.items() if name != next(iter(document))},
        dict.fromkeys(document),
        {name: [value] for name, value in document.items()},
        [document],
        1,
        None,
    ):
        with pytest.raises(ValidationError):
            parse(kind, json.dumps(broken).encode())
    for raw in (b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 50_000, json.dumps(document).encode() + b"x"):
        with pytest.raises(ValidationError):
            parse(kind, raw)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\n", "a\0b", "a\u202eb", "\ud800", "x" * 101, 5, True]
)  # fmt: skip
def test_names_are_printable(name):
    with pytest.raises(ValidationError):
        parse(NewRun, json.dumps({"name": name}).encode())


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "A", KEY + "=", KEY[:-1] + "9", "+" + KEY[1:], 1, [1] * 32])
def test_keys_have_one_spelling(key):
    with pytest.raises(ValidationError):
        parse(RosterSites, json.dumps({"sites": [key]}).encode())


@pytest.mark.parametrize("size", [0, -1, 1.5, "1", 2**53 + 1, True, None])
def test_sizes_are_whole_numbers(size):
    with pytest.raises(ValidationError):
        parse(Announcement, json.dumps({"size": size, "digest": KEY, "to": "all"}).encode())


def test_a_newer_relay_may_say_more():
    site = parse(
        Site, json.dumps({"key": KEY, "name": "a", "role": "site", "last_seen": None, "mood": "good"}).encode()
    )
    assert site.key == bytes(range(32))


def test_no_secret_in_what_is_printed():
    enrolment = Enrolment(token="secagg-join-very-secret", name="a", key=bytes(32))
    assert "very-secret" not in repr(enrolment)
