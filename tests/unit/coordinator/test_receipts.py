"""The receipt in the coordinator's journal, and the command that checks one offline."""

from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

from coordinator.cli import app
from coordinator.journal import TABLES
from coordinator.receipts import ReceiptLog, contents_of, receipt_of
from relay.client.journal import Journal
from secagg import receipts as r
from secagg.errors import ParameterError
from secagg.messages import Upload
from secagg.protocol.step import Step
from secagg.receipts import ReceiptError, verify_receipt
from tests.support.playbook import RUN, at
from tests.support.receipts import TERMS, contents, receipt

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
    assert "The receipt holds" in done.output
    assert '"holds": true' in invoke(str(path), "--json").output


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--run", str(UUID(int=3))], "it is of run .* not of"),
        (["--words", "abandon " * 11 + "about"], "its roster is another"),
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
