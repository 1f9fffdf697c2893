"""Clean environments with the wheel and one extra, and the checks that run in them."""

import re
import subprocess
import sys
import venv
from pathlib import Path

from tests.release.extras import CORE, EXTRAS, ROOT, importable

INSIDE = Path(__file__).with_name("inside.py")
NO_INDEX = "(from versions: none)"  # what pip says of a package where no index answers
PINNED = re.compile(r"^[\w.-]+==[^\\]+", re.MULTILINE)


class NoPackagesError(Exception):
    """Nothing can be installed, since no package index can be reached."""


def constraints(path: Path) -> Path:
    """Write the versions of the lock file without their hashes, which pip would ask of the wheel, too."""
    path.write_text("\n".join(PINNED.findall((ROOT / "requirements.lock").read_text())))
    return path


def install(folder: Path, wheel: Path, extra: str, pinned: Path) -> Path:
    """Make an environment with the wheel and one extra; return its bin folder.

    Raises:
        NoPackagesError: no package index can be reached.
        RuntimeError: the extra cannot be installed; with pip's words.
    """
    venv.create(folder, with_pip=False)
    wanted = str(wheel) if extra == CORE else f"{wheel}[{extra}]"
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "--quiet",
        "--no-compile",
    )
    done = _run(*pip, "--disable-pip-version-check", "--constraint", str(pinned), wanted)
    if NO_INDEX in done.stderr:
        raise NoPackagesError
    if done.returncode:
        raise RuntimeError("\n".join(line for line in done.stderr.splitlines() if not line.startswith("WARNING")))
    return folder / "bin"


def faults(bin_folder: Path, extra: str, modules: list[str]) -> list[str]:
    """Run the extra's programs, imports and simulated sum; return what went wrong.

    Args:
        bin_folder: bin folder of the environment.
        extra: name of the extra.
        modules: names of all modules in the wheel.
    """
    promised = EXTRAS[extra]
    found = []
    for program in promised.programs:
        done = _run(str(bin_folder / program), "--help")
        if done.returncode or "Usage:" not in done.stdout:
            found.append(f"{program} --help: {done.stdout}{done.stderr}")
    said = " ".join((promised.mode, *importable(extra, modules), *promised.imports))
    done = _run(str(bin_folder / "python"), "-I", str(INSIDE), said=said)
    return [*found, done.stderr] if done.returncode else found


def _run(*command: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=said, cwd="/", capture_output=True, text=True, check=False)
