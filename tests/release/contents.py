"""Builds the two archives of a release, and checks what the wheel must and must not contain."""

import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

from tests.release.extras import ROOT

PACKAGES = ("secagg", "relay", "participant", "coordinator")


def build(source: Path, out: Path, *kinds: str) -> list[Path]:
    """Build archives of a source tree without a network; return them.

    Args:
        source: folder with a pyproject.toml.
        out: folder for the archives.
        kinds: "wheel" and "sdist".
    """
    command = (
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--directory",
        str(out),
        *(f"--target={one}" for one in kinds),
    )
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return sorted(out.glob("secagg-*"))


def differing(wheel: Path, sdist: Path, folder: Path) -> list[str]:
    """Return the paths that are not the same in the wheel and in the one that the source archive gives."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (second,) = build(folder / sdist.name.removesuffix(".tar.gz"), folder / "wheel", "wheel")
    return sorted({name for name, _ in _sums(wheel) ^ _sums(second)})


def _sums(wheel: Path) -> set[tuple[str, int]]:
    with ZipFile(wheel) as archive:
        return {(one.filename, one.CRC) for one in archive.infolist()}


def files(wheel: Path) -> set[str]:
    """Return the paths in a wheel, without its metadata."""
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def modules(wheel: Path) -> list[str]:
    """Return the names of all modules in a wheel that can be imported; Alembic's env and what `python -m` names run."""
    names = (name.removesuffix(".py").removesuffix("/__init__") for name in files(wheel) if name.endswith(".py"))
    return sorted(name.replace("/", ".") for name in names if not name.endswith(("/__main__", "/migrations/env")))


def missing(wheel: Path) -> set[str]:
    """Return what programs need when they run, and type checkers with them, and the wheel has not."""
    paths = {path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    needed = {
        path.as_posix()
        for path in paths
        if not {"deploy", "__pycache__"} & set(path.parts) and path.suffix != ".md" and not path.name.startswith(".")
    }
    return (needed | {f"{package}/py.typed" for package in PACKAGES}) - files(wheel)


def superfluous(wheel: Path) -> set[str]:
    """Return what a wheel carries beside packages: tests, measurements, pages to read, examples of deployment."""
    return {
        name
        for name in files(wheel)
        if name.split("/")[0] not in PACKAGES
        or name.endswith(".md")
        or {"tests", "bench", "docs", "specs", "deploy"} & set(name.split("/"))
    }
