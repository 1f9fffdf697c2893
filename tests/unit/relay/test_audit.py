"""The audit log shows every change to what is written in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from relay import schema
from relay.config import sqlite_url
from relay.store import audit
from relay.store.database import transact
from secagg.audit import BrokenChainError

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
