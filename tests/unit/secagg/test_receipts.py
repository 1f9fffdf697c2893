"""Receipts: valid ones verify; changed, truncated, reordered or foreign content is refused with a named check."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import receipts as r
from secagg.codec import Record
from secagg.identity import Identity
from secagg.messages import Consistency, Manifest, Upload
from secagg.receipts import ReceiptError, read, signed, verify_receipt
from tests.support.playbook import QUERY, RUN
from tests.support.receipts import PLAYS, chain, contents, receipt

CONTENTS, COORDINATOR = contents("malicious")
STRANGER = Identity(bytes([9]) * 32)


def refused(entries: Any, complaint: str, entry: int | None = None, identity: Identity = COORDINATOR) -> None:
    """Assert that a receipt is refused although its chain and its signature are made anew."""
    with pytest.raises(ReceiptError, match=complaint) as error:
        verify_receipt(read(signed(chain(entries), identity).encode()))
    assert error.value.entry == entry


def place(kind: type[Record], count: int = 1) -> int:
    return [i for i, content in enumerate(CONTENTS) if type(content) is kind][count - 1]


def with_entry(at: int, **changes: Any) -> list[Record]:
    return [replace(content, **changes) if i == at else content for i, content in enumerate(CONTENTS)]


@pytest.mark.parametrize("play", PLAYS)
def test_a_receipt_shows_what_its_sites_signed(play: str) -> None:
    made = receipt(play)
    shown = verify_receipt(read(made.encode()))
    begun = contents(play)[0][0]
    assert (shown.run, shown.roster, shown.terms) == (RUN, begun.roster, begun.terms)
    assert (shown.epochs, shown.outcome) == ((1,), "completed")
    assert [(one.round, len(one.uploads), one.root is None) for one in shown.rounds] == [
        (1, 4, False),
        (2, 3, False),
        (3, 0, True),
    ]
    assert {one.query for one in shown.rounds} == {QUERY}
    assert shown.rounds[0].asked == shown.roster.sites
    assert set(shown.commitments[1]) == set(shown.roster.sites)
    assert len({*shown.rounds[0].uploads.values(), *shown.rounds[1].uploads.values()}) == 7
    assert shown.head == made.entries[-1].head


def test_two_plays_have_different_receipts() -> None:
    assert len({receipt(play).entries[-1].head for play in PLAYS}) == len(PLAYS)


# Changed -----------------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    whole = bytearray(receipt().encode())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ReceiptError):
        verify_receipt(read(bytes(whole)))


@given(data=st.data())
def test_a_changed_entry_is_named(data: st.DataObject) -> None:
    made = receipt()
    at = data.draw(st.integers(0, len(made.entries) - 1))
    entry = made.entries[at]
    body = bytearray(entry.body)
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    entries = (*made.entries[:at], replace(entry, body=bytes(body)), *made.entries[at + 1 :])
    with pytest.raises(ReceiptError, match=f"entry {at}: this or an earlier entry was changed") as error:
        verify_receipt(replace(made, entries=entries))
    assert error.value.entry == at


@given(data=st.data())
def test_no_changed_entry_passes_under_a_chain_that_was_made_anew(data: st.DataObject) -> None:
    """Without the coordinator's key the end shows it; with that key the sites' signatures do, but for what is its own
    word alone: the outcome, the root of the sum that it sent, and a query that nobody answered.
    """
    own_word = {place(r.Asked, 3), *(i for i in range(len(CONTENTS)) if isinstance(CONTENTS[i], (r.Ended, r.Released)))}
    at = data.draw(st.sampled_from(sorted(set(range(len(CONTENTS))) - own_word)))
    body = bytearray(CONTENTS[at].encode())
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = type(CONTENTS[at]).decode(bytes(body))
    except Exception:  # noqa: BLE001 - it is no entry any more, which the decoder's own tests hold
        return
    entries = [changed if i == at else content for i, content in enumerate(CONTENTS)]
    for identity in (COORDINATOR, STRANGER):
        with pytest.raises(ReceiptError):
            verify_receipt(signed(chain(entries), identity))


def test_a_result_that_was_changed_lacks_the_coordinator_s_signature() -> None:
    refused(
        with_entry(place(r.Released), root=bytes(32)), "not the one that the roster's coordinator", identity=STRANGER
    )


# Truncated ---------------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_bytes_that_were_cut_off_or_added_are_noticed(data: st.DataObject) -> None:
    whole = receipt().encode()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for changed in (cut, whole + b"\0"):
        with pytest.raises(ReceiptError, match=r"changed or truncated|not a receipt of version"):
            read(changed)


@given(last=st.integers(1, len(CONTENTS) - 1))
def test_entries_that_are_missing_at_the_end_are_noticed(last: int) -> None:
    made = receipt()
    with pytest.raises(ReceiptError, match="entries were removed or added"):
        verify_receipt(replace(made, entries=made.entries[:last]))


def test_no_entries_are_no_receipt() -> None:
    refused([], "it has no entries")


# Reordered ---------------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_entries_that_were_moved_are_named(data: st.DataObject) -> None:
    made = receipt()
    order = data.draw(st.permutations(range(len(made.entries))).filter(lambda new: list(new) != sorted(new)))
    first = next(i for i, at in enumerate(order) if i != at)
    with pytest.raises(ReceiptError, match=f"entry {first}: this or an earlier entry was changed, removed or moved"):
        verify_receipt(replace(made, entries=tuple(made.entries[i] for i in order)))


@given(data=st.data())
def test_no_other_order_passes_under_a_chain_that_was_made_anew(data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(CONTENTS))).filter(lambda new: list(new) != sorted(new)))
    with pytest.raises(ReceiptError):
        verify_receipt(signed(chain(CONTENTS[i] for i in order), COORDINATOR))


@given(at=st.integers(0, len(CONTENTS) - 2))
def test_no_entry_can_be_left_out_under_a_chain_that_was_made_anew(at: int) -> None:
    """But for a whole round at the end, which the ledgers of its sites hold against it."""
    entries = [content for i, content in enumerate(CONTENTS) if i != at]
    with pytest.raises(ReceiptError):
        verify_receipt(signed(chain(entries), COORDINATOR))


# Foreign -----------------------------------------------------------------------------------------------------------


def test_parts_of_another_run_do_not_fit() -> None:
    other, _ = contents("semi-honest")
    for kind in (r.Announced, r.Agreed, r.EpochPrepared, r.Contributed, r.Released):
        at, theirs = place(kind), next(content for content in other if type(content) is kind)
        with pytest.raises(ReceiptError):
            verify_receipt(signed(chain([*CONTENTS[:at], theirs, *CONTENTS[at + 1 :]]), COORDINATOR))


def test_another_coordinator_s_signature_is_noticed() -> None:
    refused(CONTENTS, "not the one that the roster's coordinator signed", identity=STRANGER)


def test_other_terms_are_noticed() -> None:
    refused(with_entry(0, terms=b"other terms"), "the terms do not match the roster", 0)


def test_another_run_s_manifest_is_noticed() -> None:
    refused(with_entry(0, run=bytes(16)), "the manifest belongs to another run, project or roster", 1)


def test_a_version_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ReceiptError, match="not a receipt of version 1"):
        read(replace(receipt(), version=2).encode())


# What a coordinator might make up ----------------------------------------------------------------------------------


def manifest_with(**changes: Any) -> list[Record]:
    """Return entries with another manifest, correctly signed."""
    frame = CONTENTS[1].manifest
    body = replace(Manifest.decode(frame.body), **changes).encode()
    from secagg import envelope
    from secagg.protocol.derivations import epoch_hash

    made = envelope.sign(
        COORDINATOR, body, kind=Manifest.KIND, epoch=epoch_hash(body), sender=0, recipient=envelope.EVERYONE
    )
    return with_entry(1, manifest=made)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sites": (bytes(32),) * 4}, "names a site that is not in the roster"),
        ({"epoch": 0}, "not in ascending order"),
        ({"project": bytes(16)}, "another run, project or roster"),
    ],
)
def test_a_manifest_that_is_not_the_project_s(changes: dict[str, Any], complaint: str) -> None:
    refused(manifest_with(**changes), complaint, 1)


def test_a_manifest_s_frame_of_another_place() -> None:
    frame = CONTENTS[1].manifest
    from secagg import envelope

    elsewhere = envelope.sign(COORDINATOR, frame.body, kind=Manifest.KIND, epoch=bytes(32), sender=0)
    refused(with_entry(1, manifest=elsewhere), "header of the manifest's frame is wrong", 1)
    refused(with_entry(1, manifest=replace(frame, signature=bytes(64))), "not signed by the roster's coordinator", 1)


@pytest.mark.parametrize(
    ("at", "changes", "complaint"),
    [
        (place(r.Agreed), {"kind": 5}, "out of order"),
        (place(r.Agreed), {"senders": (1, 2, 3)}, "has no frame in it"),
        (place(r.Agreed), {"bound": b""}, "only the first list"),
        (place(r.Agreed, 2), {"senders": (1, 2, 3, 5)}, "was not in the previous one"),
        (place(r.Agreed, 2), {"bound": bytes(32)}, "only the first list"),
        (place(r.EpochPrepared), {"receipts": ()}, "too few members"),
        (place(r.Asked), {"round": 9}, "round 9 is over, or not part of this epoch"),
        (place(r.Contributed), {"uploads": ()}, "too few survivors"),
        (place(r.Confirmed), {"signatures": ()}, "than the threshold requires"),
        (place(r.Released), {"statement": bytes(32)}, "covers a different set of survivors"),
        (place(r.Abandoned), {"round": 1}, "round 1 is not the open round"),
    ],
)
def test_an_entry_that_does_not_fit_is_named(at: int, changes: dict[str, Any], complaint: str) -> None:
    refused(with_entry(at, **changes), complaint, at)


def test_another_query_than_the_sites_answered() -> None:
    asked = CONTENTS[place(r.Asked)]
    other = replace(asked.opening, query=b"something else")
    refused(with_entry(place(r.Asked), opening=other), "contributed to another query", place(r.Contributed))
    few = replace(asked.opening, roster=(1, 2))
    refused(with_entry(place(r.Asked), opening=few), "asks too few sites", place(r.Asked))


def test_frames_that_no_site_signed() -> None:
    uploads = CONTENTS[place(r.Contributed)].uploads
    forged = replace(uploads[0], body=Upload(context=bytes(32), root=bytes(32)).encode())
    refused(
        with_entry(place(r.Contributed), uploads=(forged, *uploads[1:])),
        "is not signed by that site",
        place(r.Contributed),
    )
    refused(with_entry(place(r.Contributed), uploads=uploads[::-1]), "not ascending", place(r.Contributed))


def signed_by_its_site(kind: type[r.Record], body: bytes) -> list[Record]:
    """Return entries in which the first site signed another body: its key is what a colluding coordinator has."""
    from secagg import envelope
    from tests.support.playbook import Play

    site = Play(n=4, rounds=3).parties[1].identity
    at, field = {Upload: (place(r.Contributed), "uploads"), Consistency: (place(r.Confirmed), "signatures")}[kind]
    frames = getattr(CONTENTS[at], field)
    first = frames[0]
    made = envelope.sign(
        site, body, kind=first.kind, epoch=first.epoch, transcript=first.transcript, round_=first.round, sender=1
    )
    return with_entry(at, **{field: (made, *frames[1:])})


def test_what_a_site_signed_is_read() -> None:
    refused(signed_by_its_site(Upload, b"no upload"), "what site 1 signed is not a valid Upload", place(r.Contributed))
    other = Consistency(statement=bytes(32)).encode()
    refused(signed_by_its_site(Consistency, other), "site 1 signed a different set", place(r.Confirmed))


def test_an_entry_of_no_kind() -> None:
    made = receipt()
    from secagg.audit import GENESIS, link

    for kind, body in ((99, b""), (0, b"")):
        entry = r.Entry(kind=kind, body=body, head=link(GENESIS, bytes([kind]) + body))
        with pytest.raises(ReceiptError, match=f"entry kind {kind} does not exist"):
            verify_receipt(replace(made, entries=(entry,)))
    entry = r.Entry(kind=1, body=b"", head=link(GENESIS, b"\1"))
    with pytest.raises(ReceiptError, match="entry 0: it is not a valid Begun"):
        verify_receipt(replace(made, entries=(entry,)))


def test_a_run_that_was_gone_on_with() -> None:
    *written, ended = CONTENTS
    failed = r.Ended(outcome="failed: too few sites")
    shown = verify_receipt(signed(chain([written[0], failed, *written[1:], failed, ended]), COORDINATOR))
    assert shown.outcome == "completed"
    refused([written[0], failed, CONTENTS[place(r.Asked)]], "found Asked, expected Announced or Ended", 2)


def test_an_epoch_that_was_never_ready_is_followed_by_the_next() -> None:
    refused([*CONTENTS[:4], CONTENTS[1], *CONTENTS[2:]], "not in ascending order", 4)
