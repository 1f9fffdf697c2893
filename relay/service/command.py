"""What all commands have in common: one line for an error, one object for a report."""

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relay.service.folders import private_umask
from secagg.errors import SecaggError


def run(app: Callable[[], Any], name: str) -> None:
    """Run a command line; what goes wrong is said in one line on stderr, with exit code 1."""
    private_umask()
    try:
        app()
    except SecaggError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(1)
    except OSError as error:
        sys.stderr.write(f"{name}: {_words(error)}\n")
        sys.exit(1)


def _words(error: OSError) -> str:
    """Say what the system refused and where; a time-out may have no words of its own, and then its origin says more."""
    said = error.strerror or str(error)
    if not said:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__} in {frame.name} ({Path(frame.filename).name}, line {frame.lineno})"
    return f"{said}: {error.filename}" if error.filename else said


def report(facts: dict[str, Any], words: str, *, as_json: bool) -> None:
    """Print a command's result on stdout: one JSON object, or words for people."""
    sys.stdout.write((json.dumps(facts) if as_json else words) + "\n")
