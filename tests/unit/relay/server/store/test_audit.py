"""The audit log reveals every change to its entries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from relay.server.core.checkpoint import KEY_FILE, BadCheckpointError, Checkpoint, signing_key
from relay.server.core.config import sqlite_url
from relay.server.store import audit, checkpoints, schema
from relay.server.store.connect import transact
from secagg.audit import BrokenChainError
from secagg.errors import ParameterError
from secagg.identity import Identity

TABLE = schema.audit


@pytest.fixture
def log(tmp_path):
    """An audit log with six entries; runs a function in a transaction on it."""
    url = sqlite_url(tmp_path)
    transact(url, schema.metadata.create_all)

    def fill(db):
        for number in range(6):
            audit.append(db, actor="operator", action="token.created", on=f"token/{number}", label="Klinik Ö", n=number)

    transact(url, fill)
    return lambda work: transact(url, work)


def test_an_untouched_log_is_whole(log):
    assert log(audit.verify) == 6
    entries, head = log(audit.head)
    assert entries == 6
    assert log(lambda db: audit.verify(db, head)) == 6


def test_an_empty_log_is_whole(log):
    log(lambda db: db.execute(delete(TABLE)))
    assert log(audit.verify) == 0


@given(seq=st.integers(1, 6), column=st.sampled_from(["at_ms", "actor", "action", "object", "detail", "head"]))
@settings(max_examples=15, deadline=None)
def test_an_edited_entry_shows(tmp_path_factory, seq, column):
    """Recipe 21."""
    url = sqlite_url(tmp_path_factory.mktemp("audit"))
    transact(url, schema.metadata.create_all)
    transact(url, lambda db: [audit.append(db, actor="a", action="b", on=str(n), n=n) for n in range(6)])
    value = {"at_ms": 1, "head": bytes(32)}.get(column, "forged")
    transact(url, lambda db: db.execute(update(TABLE).where(TABLE.c.seq == seq).values({column: value})))
    with pytest.raises(BrokenChainError) as caught:
        transact(url, audit.verify)
    assert caught.value.position == seq - 1


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_removed_entry_shows(log, seq):
    log(lambda db: db.execute(delete(TABLE).where(TABLE.c.seq == seq)))
    with pytest.raises(BrokenChainError) as caught:
        log(audit.verify)
    assert caught.value.position == seq - 1


def test_moved_entries_show(log):
    """Recipe 21."""

    def swap(db):
        for before, after in ((3, 30), (4, 3), (30, 4)):
            db.execute(update(TABLE).where(TABLE.c.seq == before).values(seq=after))

    log(swap)
    with pytest.raises(BrokenChainError):
        log(audit.verify)


def test_renumbered_entries_show(log):
    log(lambda db: db.execute(update(TABLE).where(TABLE.c.seq == 6).values(seq=9)))
    with pytest.raises(BrokenChainError):
        log(audit.verify)


def test_a_cut_off_tail_shows_against_a_remembered_head(log):
    """Recipe 21."""
    _, remembered = log(audit.head)
    log(lambda db: db.execute(delete(TABLE).where(TABLE.c.seq > 4)))
    assert log(audit.verify) == 4  # a chain alone cannot show it
    with pytest.raises(BrokenChainError):
        log(lambda db: audit.verify(db, remembered))


def test_a_head_from_before_later_entries_is_still_good(log):
    _, remembered = log(audit.head)
    log(lambda db: audit.append(db, actor="a", action="b", on="c"))
    assert log(lambda db: audit.verify(db, remembered)) == 7


def signed(log, identity=None) -> Checkpoint:
    entries, head = log(audit.head)
    made = Checkpoint.sign(identity or Identity(bytes(range(32))), entries=entries, head=head, at_ms=1_000)
    return Checkpoint.of_document(made.document())


def test_a_checkpoint_that_was_kept_shows_a_cut_off_tail(log):
    """Recipe 21."""
    kept = signed(log)
    log(lambda db: audit.append(db, actor="a", action="b", on="c"))
    assert log(lambda db: audit.verify(db, kept=[kept])) == 7
    log(lambda db: db.execute(delete(TABLE).where(TABLE.c.seq > 4)))
    with pytest.raises(audit.TruncatedLogError, match="has 4 entries but a checkpoint covers 6"):
        log(lambda db: audit.verify(db, kept=[kept]))


def test_a_log_that_was_written_anew_shows_against_a_checkpoint(log):
    """Recipe 21: with all hashes right, and as long as the true one."""
    kept = signed(log)
    log(lambda db: db.execute(delete(TABLE)))
    for number in range(6):
        log(lambda db, number=number: audit.append(db, actor="operator", action="forged", on=f"token/{number}"))
    assert log(audit.verify) == 6
    with pytest.raises(BrokenChainError) as caught:
        log(lambda db: audit.verify(db, kept=[kept]))
    assert caught.value.position == 5


def test_stored_checkpoints_count_and_are_checked(log):
    kept = signed(log)
    log(lambda db: checkpoints.put(db, kept))
    assert log(audit.verify) == 6
    log(lambda db: db.execute(update(schema.checkpoint).values(entries=5)))
    with pytest.raises(BadCheckpointError, match="5 entries is not signed"):
        log(audit.verify)


def test_a_stored_checkpoint_shows_a_cut_off_tail_too(log):
    kept = signed(log)
    log(lambda db: checkpoints.put(db, kept))
    log(lambda db: db.execute(delete(TABLE).where(TABLE.c.seq == 6)))
    with pytest.raises(audit.TruncatedLogError):
        log(audit.verify)


def test_a_checkpoint_of_the_same_length_replaces_the_older_one(log):
    kept = signed(log)
    log(lambda db: checkpoints.put(db, kept))
    later = Checkpoint.sign(Identity(bytes(32)), entries=6, head=kept.head, at_ms=2_000)
    log(lambda db: checkpoints.put(db, later))
    assert log(checkpoints.all_checkpoints) == [later] == [log(checkpoints.latest)]


@given(st.sampled_from(["entries", "at_ms", "head", "public", "proof"]), st.data())
def test_a_changed_checkpoint_is_none(name, data):
    document = Checkpoint.sign(Identity(bytes(32)), entries=6, head=bytes(32), at_ms=1).document()
    other = {
        "entries": st.integers(-1, 2**70),
        "at_ms": st.integers(-1, 2**70),
        "head": st.binary(max_size=33).map(bytes.hex),
    }.get(name, st.text(max_size=90))
    value = data.draw(st.one_of(other, st.none()).filter(lambda value: value != document[name]))
    with pytest.raises(BadCheckpointError):
        Checkpoint.of_document(document | {name: value})


def test_the_signing_key_is_drawn_once_and_is_private(tmp_path):
    path = tmp_path / KEY_FILE
    first = signing_key(path)
    assert signing_key(path).public == first.public
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ParameterError, match="chmod 600"):
        signing_key(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(ParameterError, match="not a signing key"):
        signing_key(path)
