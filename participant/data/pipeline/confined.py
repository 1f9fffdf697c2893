"""An import in a process of its own, with bounded memory and time.

A file of a few kilobytes can make a library request hundreds of gigabytes, and one that is refused them may end its
process. So tables are read in another process than the one that the data manager talks to: `run` starts this module
with `python -m`, passes the request on standard input, and receives progress and outcome as lines of JSON. Nothing
that the process returns is code.
"""

import json
import os
import subprocess
import sys
import traceback
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from threading import Timer
from typing import Any, TextIO

from participant.data.cohort.choose import CohortOptions, open_cohort
from participant.data.model import errors
from participant.data.model.declaration import Declaration
from participant.data.model.description import Description
from participant.data.model.errors import BadRowsError, DatasetError, ImportLimitError
from participant.data.model.progress import Show
from participant.data.model.summary import ImportSummary, LeftOut
from participant.data.sources import TableSource
from participant.data.sources.choose import Options, open_source
from participant.data.store.store import DatasetStore
from relay.service.memory import Limits, limit_memory
from secagg.errors import SecaggError


def run(
    datasets: DatasetStore,
    name: str,
    place: str,
    *,
    options: Options | CohortOptions,
    declared: Declaration,
    imported_at: datetime,
    mapped: bool,
    pictures: bool,
    limits: Limits,
    show: Show,
) -> ImportSummary:
    """Import a table as the next version of a dataset.

    Args:
        datasets: store for the new version.
        name: name of the dataset.
        place: path of a file or folder, or a database's address.
        options: options for reading it.
        declared: declaration of the table.
        imported_at: the time, with its zone.
        mapped: whether to apply the previous version's mapping, if any.
        pictures: whether the report has pictures.
        limits: limits on memory and time.
        show: function that shows the progress.

    Raises:
        DatasetError: raised as by `open_source` and `import_table`; nothing was stored.
        ImportLimitError: the import exceeded a limit.
    """
    request = {
        "datasets": str(datasets.root),
        "name": name,
        "place": place,
        "options": asdict(options),
        "cohort": isinstance(options, CohortOptions),
        "declared": declared.model_dump(mode="json"),
        "imported_at": imported_at.isoformat(),
        "mapped": mapped,
        "pictures": pictures,
        "memory_mib": limits.memory_mib,
    }
    command = [sys.executable, "-P", "-m", __spec__.name]  # -P: import no modules from the current folder
    late = False

    def end() -> None:
        nonlocal late
        late = True
        process.kill()

    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        timer = Timer(limits.minutes * 60, end)
        timer.start()
        try:
            return _followed(process, json.dumps(request), show)
        except _Ended:
            what = (
                f"took longer than {limits.minutes:g} minutes, the limit that import_minutes sets"
                if late
                else f"needed more than {limits.memory_mib:,} MiB of memory, the limit that import_memory_mib sets, "
                "or broke a library"
            )
            raise ImportLimitError(
                f"the import {what}; nothing was stored. Raise the setting if you trust the source"
            ) from None
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            datasets.clear()


class _Ended(Exception):  # noqa: N818 - no error of its own
    """The process ended without reporting a result."""


def _followed(process: "subprocess.Popen[str]", request: str, show: Show) -> ImportSummary:
    """Hand over the request, and follow the process's reports up to its result."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(request)
        process.stdin.close()
    except BrokenPipeError:
        raise _Ended from None
    for line in process.stdout:
        said: dict[str, Any] = json.loads(line)
        if "step" in said:
            show(**said)
        elif "description" in said:
            described = Description.model_validate_json(json.dumps(said.pop("description")))
            attrition = [LeftOut(*step) for step in said.pop("attrition")]
            return ImportSummary(described, Path(said.pop("folder")), **said, attrition=attrition)
        elif said["error"] == "BadRowsError":
            raise BadRowsError(said["bad"], said["rows"], said["share"], Path(said["folder"]))
        elif said["error"] != "MemoryError":
            known: type[DatasetError] = getattr(errors, said["error"], DatasetError)
            raise known(said["message"])
    raise _Ended


def _work(request: dict[str, Any], out: TextIO) -> None:
    """Run the requested import, and write its progress and outcome."""
    from participant.data.pipeline.importing import import_table  # noqa: PLC0415 - the waiting process needs none of it
    from participant.data.pipeline.mapping import of_version  # noqa: PLC0415

    limit_memory(request["memory_mib"])

    def say(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    try:
        store = DatasetStore(Path(request["datasets"]))
        done = import_table(
            store,
            request["name"],
            _source(request),
            imported_at=datetime.fromisoformat(request["imported_at"]),
            declared=Declaration.model_validate(request["declared"], strict=False),
            mapping=of_version(store, request["name"]) if request["mapped"] else None,
            show=lambda step, done, of, rows: say(step=step, done=done, of=of, rows=rows),
            pictures=request["pictures"],
        )
    except BadRowsError as error:
        say(error="BadRowsError", bad=error.bad, rows=error.rows, share=error.share, folder=str(error.folder))
    except SecaggError as error:
        say(error=type(error).__name__, message=str(error))
    except MemoryError:
        say(error="MemoryError")
    except OSError as error:
        say(error="DatasetError", message=f"the import stopped: {error.strerror or type(error).__name__}")
    except BaseException as error:  # noqa: BLE001 - a library's panic is no Exception; its words may quote the table
        traceback.print_tb(error.__traceback__)
        say(error="DatasetError", message=f"the import failed on a defect ({type(error).__name__}); nothing was stored")
        raise SystemExit(1) from None
    else:
        say(
            description=done.description.model_dump(mode="json"),
            folder=str(done.folder),
            seconds=dict(done.facts.seconds),
            read=done.facts.read,
            bad=done.facts.bad,
            repeated=done.facts.repeated,
            attrition=done.facts.origin.attrition,
        )


def _source(request: dict[str, Any]) -> TableSource:
    if request["cohort"]:
        return open_cohort(request["place"], CohortOptions(**request["options"]))
    return open_source(request["place"], Options(**request["options"]))


def _main() -> None:
    """Serve one request. Libraries' output goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _work(json.load(sys.stdin), out)


if __name__ == "__main__":
    _main()
