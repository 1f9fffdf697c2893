"""The peers' own environment, created once in the user's cache folder from pinned versions and hashes."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs

REQUIREMENTS = Path(__file__).with_name("peers.txt")


def python() -> Path:
    """Return the interpreter with the peers, after installing them if necessary."""
    pinned = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = platformdirs.user_cache_path("secagg") / f"peers-{sys.version_info[0]}.{sys.version_info[1]}-{pinned}"
    ready, interpreter = folder / "ready", folder / "bin" / "python"
    if not ready.exists():
        print(f"installing the peers into {folder} (once)", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        subprocess.run(
            [interpreter, "-m", "pip", *install, "--requirement", REQUIREMENTS], check=True, stdout=sys.stderr
        )
        ready.touch()
    return interpreter
