"""Wheel and images contain what belongs in them and nothing else of the tree, in which canaries are planted.

The base image needs a registry. Here the one stage starts empty and only copies, with buildah; `RUN` steps add no file
of the tree.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.release.extras import CORE, with_its_own

ROOT = Path(__file__).parents[2]
CONTAINERFILES = sorted(ROOT.glob("*/deploy/container/Containerfile"))
CANARY = b"canary-5b1f0c2e"
PLACES = (
    "secrets/database",
    "relay/deploy/container/secrets/tls/ca.key",
    "relay/deploy/container/secrets/postgres",
    "relay/secrets/key.pem",
    "participant/passphrase",
    "participant/lung.csv",
    "coordinator/journal.sqlite",
    "secagg/identity.json",
    ".env",
    ".git/config",
    "identity.pem",
    "backup.age",
)
"""Where people leave keys, passwords and data."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with a canary in every place, and the wheel that is built in it."""
    copy = tmp_path_factory.mktemp("image") / "tree"
    copy.mkdir()
    for name in ("LICENSE", "README.md", "pyproject.toml", ".dockerignore"):
        shutil.copy(ROOT / name, copy)
    for name in ("secagg", "relay", "participant", "coordinator"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for place in PLACES:
        (copy / place).parent.mkdir(parents=True, exist_ok=True)
        (copy / place).write_bytes(CANARY)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "--target", "wheel"], cwd=copy, check=True)
    (copy / "dist/notes.txt").write_bytes(CANARY)
    return copy


def test_the_wheel_holds_the_program_and_no_more(tree: Path) -> None:
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert not [name for name in archive.namelist() if CANARY in archive.read(name)]
    suffixes = {".py", ".j2", ".mako", ".typed"}
    wanted = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.suffix in suffixes}
    wanted |= {"participant/policy/policy.schema.json", "coordinator/demo/plan.toml"}
    assert names == {name for name in wanted if (tree / name).read_bytes() != CANARY}


def test_the_wheel_names_the_extras_that_the_project_declares(tree: Path) -> None:
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (place,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = message_from_bytes(archive.read(place))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(told.get_all("Provides-Extra")) == set(declared)
    told_by_extra = {
        extra: {one.name for one in map(Requirement, told.get_all("Requires-Dist")) if _belongs(one, extra)}
        for extra in declared
    }
    meant = {
        extra: {Requirement(text).name for one in with_its_own(extra) - {CORE} for text in declared[one]} - {"secagg"}
        for extra in declared
    }
    assert told_by_extra == meant


def _belongs(requirement: Requirement, extra: str) -> bool:
    """Return whether a requirement of the wheel is one of this extra alone."""
    return re.search(rf"extra == ['\"]{extra}['\"]", str(requirement.marker)) is not None


def copied(text: str) -> str:
    """Return a Containerfile's copies from the tree, in one stage without a base."""
    lines = [line for line in text.splitlines() if line.startswith("COPY ") and "--from=" not in line]
    return "\n".join(["FROM scratch", *lines, ""])


def files_of(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file in every layer of an image in an OCI archive."""
    with tarfile.open(archive) as outer:
        blobs = {member.name: outer.extractfile(member).read() for member in outer if member.isfile()}  # type: ignore[union-attr]
    (index,) = json.loads(blobs["index.json"])["manifests"]
    manifest = json.loads(blobs[_blob(index["digest"])])
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(blobs[_blob(layer["digest"])])) as inner:
            for member in inner:
                if member.isfile():
                    yield member.name, inner.extractfile(member).read()  # type: ignore[union-attr]


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


@pytest.mark.parametrize("containerfile", CONTAINERFILES, ids=lambda path: path.parts[-4])
def test_no_layer_holds_what_was_left_in_the_tree(containerfile: Path, tree: Path, tmp_path: Path) -> None:
    buildah = shutil.which("buildah")
    if buildah is None:
        pytest.skip("buildah is not installed; images are not built")
    recipe = tmp_path / "Containerfile"
    recipe.write_text(copied(containerfile.read_text()))
    store = ["--storage-driver", "vfs", "--root", str(tmp_path / "store"), "--runroot", str(tmp_path / "run")]
    build = [buildah, *store, "build", "--isolation", "chroot", "--file", str(recipe), "--tag", "image", str(tree)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    push = [buildah, *store, "push", "image", f"oci-archive:{tmp_path / 'image.tar'}"]
    subprocess.run(push, capture_output=True, check=True)
    found = dict(files_of(tmp_path / "image.tar"))
    assert {Path(name).suffix for name in found} == {".whl", ".lock"}
    assert not [name for name, content in found.items() if CANARY in content]
