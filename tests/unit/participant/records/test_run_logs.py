"""Logs of runs: one file per run, with only its own lines, kept for a month after the last line."""

import json
import logging
import time
from pathlib import Path
from uuid import UUID

import pytest

from participant.records import run_logs
from participant.records.run_logs import KEPT_DAYS, MOST_BYTES, RunLogs

RUN, OTHER = UUID(int=1), UUID(int=2)


def logged(handler: RunLogs, **facts: str) -> None:
    handler.emit(logging.makeLogRecord({"msg": json.dumps(facts)}))


def test_a_line_is_kept_with_its_run_and_others_nowhere(tmp_path: Path) -> None:
    handler = RunLogs(tmp_path)
    logged(handler, event="a", run=str(RUN))
    logged(handler, event="b", run=str(OTHER))
    logged(handler, event="c")
    logged(handler, event="d", run="../../outside")
    assert json.loads(run_logs.of_run(tmp_path, RUN))["event"] == "a"
    assert {path.name for path in tmp_path.rglob("*.jsonl")} == {f"{RUN}.jsonl", f"{OTHER}.jsonl"}


def test_a_file_grows_no_further_than_its_limit(tmp_path: Path) -> None:
    handler = RunLogs(tmp_path)
    for _ in range(5):
        logged(handler, event="x" * (MOST_BYTES // 2), run=str(RUN))
    assert MOST_BYTES <= len(run_logs.of_run(tmp_path, RUN)) < 2 * MOST_BYTES


@pytest.mark.parametrize(("days", "left"), [(KEPT_DAYS - 1, True), (KEPT_DAYS + 1, False)])
def test_logs_expire(tmp_path: Path, days: int, *, left: bool) -> None:
    logged(RunLogs(tmp_path), event="a", run=str(RUN))
    run_logs.expire(tmp_path, now=time.time() + days * 86_400)
    assert bool(run_logs.of_run(tmp_path, RUN)) is left
