"""The receipt in the coordinator's journal, and the command that checks one offline."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

from coordinator.commands.cli import app
from coordinator.journal import receipts
from coordinator.journal.receipts import ReceiptLog, contents_of, receipt_of
from coordinator.journal.schema import TABLES
from relay.client.transport import RelayUnavailableError
from relay.party.journal import Journal
from secagg import receipts as r
from secagg.errors import ParameterError
from secagg.messages import Upload
from secagg.protocol.step import Step
from secagg.receipts import ReceiptError, verify_receipt
from tests.support.playbook import RUN, at
from tests.support.receipts import TERMS, chain, contents, receipt

CONTENTS, COORDINATOR = contents("malicious")
ROSTER = CONTENTS[0].roster


@pytest.fixture
def journal(tmp_path: Path):
    made = Journal(tmp_path / "party", TABLES)
    yield made
    made.close()


def test_entries_are_chained_in_the_journal(journal: Journal) -> None:
    log = ReceiptLog(journal.connection, UUID(bytes=RUN))
    assert log.signed(COORDINATOR) is None
    with pytest.raises(ParameterError, match="has no receipt"):
        receipt_of(journal, UUID(bytes=RUN), COORDINATOR)
    for _ in range(2):  # a run that is gone on with begins once
        log.begin(ROSTER, TERMS)
    for _ in range(2):
        log.end("failed: no quorum \u2014 two sites")
    ReceiptLog(journal.connection, UUID(int=2)).begin(ROSTER, TERMS)
    shown = verify_receipt(receipt_of(journal, UUID(bytes=RUN), COORDINATOR))
    assert shown.outcome == "failed: no quorum ? two sites"
    assert len(log.entries()) == 2


def test_a_run_may_end_after_any_entry_and_gives_up_the_round_that_is_open(journal: Journal) -> None:
    noted = chain(CONTENTS[:-1])
    for number in range(1, len(noted) + 1):
        run = UUID(int=number)
        rows = [(str(run), place, one.kind, one.body, one.head) for place, one in enumerate(noted[:number], 1)]
        journal.connection.executemany("INSERT INTO receipt VALUES (?, ?, ?, ?, ?)", rows)
        log = ReceiptLog(journal.connection, run)
        for _ in range(2):
            log.end("cancelled")
        shown = verify_receipt(receipt_of(journal, run, COORDINATOR))
        assert shown.outcome == "cancelled"
        is_open = type(CONTENTS[number - 1]) in {r.Asked, r.Contributed, r.Confirmed}
        assert len(log.entries()) == number + is_open + 1


def test_a_step_that_only_takes_a_frame_writes_nothing() -> None:
    coordinator = at(Upload, n=3).parties[0]
    assert list(contents_of(coordinator.state, Step(coordinator.state))) == []


def invoke(*arguments: str):
    return CliRunner().invoke(app, ["receipt", "verify", *arguments])


def test_the_command_says_what_a_receipt_shows(tmp_path: Path) -> None:
    path = tmp_path / "run.receipt"
    path.write_bytes(receipt().encode())
    done = invoke(str(path), "--words", ROSTER.words(), "--run", str(UUID(bytes=RUN)))
    assert done.exit_code == 0, done.output
    assert "The receipt is valid" in done.output
    assert '"holds": true' in invoke(str(path), "--json").output


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--run", str(UUID(int=3))], "belongs to run .*, not to"),
        (["--words", "abandon " * 11 + "about"], "belongs to another roster"),
    ],
)
def test_the_command_refuses_a_foreign_one(tmp_path: Path, options: list[str], complaint: str) -> None:
    path = tmp_path / "run.receipt"
    path.write_bytes(receipt().encode())
    done = invoke(str(path), *options)
    assert isinstance(done.exception, ReceiptError)
    with pytest.raises(ReceiptError, match=complaint):
        raise done.exception


def test_the_command_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "run.receipt"
    for content in (b"", b"\x01", receipt().encode()[:-1], bytes(100)):
        path.write_bytes(content)
        assert isinstance(invoke(str(path)).exception, ReceiptError)


def test_every_kind_of_entry_is_written() -> None:
    assert {type(content) for content in CONTENTS} == set(r.KINDS)


class Post:
    """Parcels that are noted instead of sent."""

    sent: list[tuple[str, bytes, str, bytes]]

    def __init__(self, *_arguments, **_options) -> None:
        pass

    async def send_log(self, to: bytes, name: str, text: bytes) -> None:
        Post.sent.append(("log", to, name, text))

    async def send_file(self, to: bytes, name: str, path: Path) -> None:
        Post.sent.append(("file", to, name, path.read_bytes()))  # noqa: ASYNC240


@pytest.mark.parametrize(("limit", "form"), [(1 << 20, "log"), (1000, "file")])
async def test_every_site_is_sent_the_receipt(monkeypatch: pytest.MonkeyPatch, limit: int, form: str) -> None:
    Post.sent = []
    monkeypatch.setattr(receipts, "Parcels", Post)
    monkeypatch.setattr(receipts, "MAX_LOG_BYTES", limit)
    made = receipt()
    assert await receipts.hand_out(made, UUID(bytes=RUN), COORDINATOR, None) == 4  # type: ignore[arg-type]
    assert Post.sent == [(form, site, r.PARCEL, made.encode()) for site in ROSTER.sites]


async def test_a_run_that_nobody_was_asked_for_has_nobody_to_send_it_to() -> None:
    only_begun = r.signed(chain(CONTENTS[:1]), COORDINATOR)
    assert await receipts.hand_out(only_begun, UUID(bytes=RUN), COORDINATOR, None) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("within_s", [0.0, 0.1])
async def test_a_run_ends_also_where_its_receipt_cannot_be_sent(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, within_s: float
) -> None:
    faults = iter([RelayUnavailableError("the relay is away"), None])
    tried = []

    async def away(*_arguments) -> int:
        tried.append(within_s)
        if fault := next(faults):
            raise fault
        await asyncio.sleep(60)

    monkeypatch.setattr(receipts, "hand_out", away)
    log = ReceiptLog(journal.connection, UUID(bytes=RUN))
    log.begin(ROSTER, TERMS)
    for outcome in ("completed", "failed"):
        await receipts.conclude(log, outcome, UUID(bytes=RUN), COORDINATOR, None, within_s=within_s)  # type: ignore[arg-type]
        assert verify_receipt(receipt_of(journal, UUID(bytes=RUN), COORDINATOR)).outcome == outcome
    assert len(tried) == (2 if within_s else 0)
