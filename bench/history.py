"""Kept results: one file per benchmark and processor in `results/`, newest entry last."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measure import Row

FOLDER = Path(__file__).parent / "results"


def keep(name: str, machine: Mapping[str, Any], rows: Sequence[Row], folder: Path = FOLDER) -> Path:
    """Append an entry to the file of this measurement and processor; return its path."""
    path = folder / f"{name}--{_slug(machine)}.json"
    entries = json.loads(path.read_text()) if path.exists() else []
    entries.append(
        {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine,
            "rows": [{**row.as_facts(), "figures": row.figures} for row in rows],
        }
    )
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(entries, indent=1) + "\n")
    return path


def newest(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return the newest entry of a benchmark, from any machine.

    Raises:
        FileNotFoundError: no result of it was ever kept.
    """
    entries = [entry for path in folder.glob(f"{name}--*.json") for entry in json.loads(path.read_text())]
    if not entries:
        raise FileNotFoundError(f"no results of {name} are kept; run: python -m bench {name} --keep")
    return max(reversed(entries), key=lambda entry: entry["date"])  # of those in the same second, the last kept


def _slug(machine: Mapping[str, Any]) -> str:
    """Return a name for a machine: its processor, and the features that decide which kernel it runs."""
    words = " ".join([machine["processor"], *(f for f in ("avx512f", "vaes") if f in machine["features"])])
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
