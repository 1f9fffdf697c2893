"""The reference regenerates the stored vectors, byte for byte, without using anything of secagg."""

import subprocess
import sys
from pathlib import Path

from specs.ref import vectors
from tests.vectors.files import FOLDER

ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.json")}


def test_the_same_bytes(tmp_path):
    kept = "encapsulations.json"  # an input: see vectors.py
    (tmp_path / kept).write_bytes((FOLDER / kept).read_bytes())
    vectors.write(tmp_path)
    stored = {name: data for name, data in contents(FOLDER).items() if not name.startswith("schema/")}
    made = contents(tmp_path)
    assert set(made) == set(stored)
    assert [name for name in made if made[name] != stored[name]] == []


def test_independence():
    """No module of the reference imports secagg, numpy or numba, by whatever way."""
    foreign = "{'secagg', 'numpy', 'numba', 'nacl'} & {name.partition('.')[0] for name in sys.modules}"
    code = f"import sys, specs.ref.vectors; sys.exit(bool({foreign}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
