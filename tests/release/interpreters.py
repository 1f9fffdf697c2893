"""The most important tests, under each Python that the classifiers name: python -m tests.release.interpreters."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

from tests.release import contents
from tests.release.extras import PROJECT, ROOT

CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)")
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
TESTS = ("-m", "pytest", "-n", "auto", "@tests/quick.txt")


def named() -> list[str]:
    """Return the versions that the classifiers name, such as "3.11"."""
    return [found[1] for one in PROJECT["classifiers"] if (found := CLASSIFIER.fullmatch(one))]


def installed(version: str) -> str | None:
    """Return an interpreter of this version: on the path, or among those of pyenv; None if there is none."""
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob(f"{version}.*/bin/python")
    for candidate in (sys.executable, shutil.which(f"python{version}"), *map(str, sorted(managed))):
        if candidate:
            done = subprocess.run((candidate, "-c", VERSION), capture_output=True, text=True, check=False)
            if done.stdout.strip() == version:
                return candidate
    return None


def passes(interpreter: str, folder: Path) -> bool:
    """Run the tests under an interpreter, with everything that the lock file names and nothing else."""
    subprocess.run((interpreter, "-m", "venv", "--without-pip", str(folder / "environment")), check=True)
    python = str(folder / "environment" / "bin" / "python")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check")
    subprocess.run((*pip, "--require-hashes", "--requirement", "requirements.lock"), cwd=ROOT, check=True)
    (wheel,) = contents.build(ROOT, folder / "wheel", "wheel")  # for its entry points; the code is the source tree's
    subprocess.run((*pip, "--no-deps", str(wheel)), check=True)
    return subprocess.run((python, *TESTS), cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Try each version, and say of each how it went."""
    failed = False
    for version in named():
        interpreter, began = installed(version), monotonic()
        if interpreter is None:
            print(f"Python {version}: SKIPPED, it is not installed", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="secagg-python-") as folder:
            well = passes(interpreter, Path(folder))
        print(f"Python {version}: {'well' if well else 'FAILED'}, {monotonic() - began:.0f} s", flush=True)
        failed |= not well
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
