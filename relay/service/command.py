"""What all commands have in common: one line for an error, one object for a report."""

import json
import sys
from collections.abc import Callable
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
        sys.stderr.write(f"{name}: {error.strerror or error}: {error.filename or ''}\n")
        sys.exit(1)


def report(facts: dict[str, Any], words: str, *, as_json: bool) -> None:
    """Print a command's result on stdout: one JSON object, or words for people."""
    sys.stdout.write((json.dumps(facts) if as_json else words) + "\n")
