"""Build a release into dist/ and try the wheel with each extra alone: python -m tests.release [NAME ...]."""

import argparse
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import monotonic

from tests.release import contents, environment
from tests.release.extras import EXTRAS, ROOT

DIST = ROOT / "dist"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.release", description="Build a release and try it.")
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=f"{', '.join(EXTRAS)}; all, unless some are named")
    names = parser.parse_args().extras or list(EXTRAS)
    if unknown := set(names) - EXTRAS.keys():
        parser.error(f"no such extra: {', '.join(sorted(unknown))}")
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="secagg-release-") as folder:
        sdist, wheel = sorted(contents.build(ROOT, DIST, "wheel", "sdist"), key=lambda path: path.suffix)
        right = _report_contents(wheel, sdist, Path(folder))
        tried = partial(_try, Path(folder), wheel, environment.constraints(Path(folder, "constraints.txt")))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return 0 if all([*pool.map(tried, names), right]) else 1


def _report_contents(wheel: Path, sdist: Path, folder: Path) -> bool:
    faults = [f"misses {name}" for name in sorted(contents.missing(wheel))]
    faults += [f"carries {name}" for name in sorted(contents.superfluous(wheel))]
    faults += [f"differs from the source archive's: {name}" for name in contents.differing(wheel, sdist, folder)]
    print("\n".join(f"{wheel.name} {fault}" for fault in faults) or f"{wheel.name} and {sdist.name}: well")
    return not faults


def _try(folder: Path, wheel: Path, pinned: Path, extra: str) -> bool:
    """Try the wheel with one extra, say how it went, and return whether it went well or could not be tried here."""
    if reason := EXTRAS[extra].skipped:
        print(f"{extra}: SKIPPED, {reason}")
        return True
    began = monotonic()
    try:
        faults = environment.faults(
            environment.install(folder / extra, wheel, extra, pinned), extra, contents.modules(wheel)
        )
    except environment.NoPackagesError:
        print(f"{extra}: SKIPPED, no package index can be reached from here")
        return True
    except RuntimeError as error:
        faults = [str(error)]
    shutil.rmtree(folder / extra)
    print(f"{extra}: {'FAILED' if faults else 'well'}, {monotonic() - began:.0f} s", *faults, sep="\n  ", flush=True)
    return not faults


if __name__ == "__main__":
    sys.exit(main())
