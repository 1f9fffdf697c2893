"""What an import costs: the bare package loads nothing, and the relay never loads a compiler."""

import subprocess
import sys

import pytest

HEAVY = ("numba", "numpy", "tenseal", "cryptography", "nacl")


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after a statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_the_bare_package_loads_nothing():
    assert loaded_by("import secagg").isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["envelope", "identity", "audit", "codec", "errors"])
def test_what_the_relay_uses_needs_no_arrays(module):
    assert loaded_by(f"import secagg.{module}").isdisjoint({"numba", "numpy", "tenseal"})


def test_the_relay_never_loads_a_compiler():
    assert loaded_by("import relay.server.app").isdisjoint({"numba", "tenseal"})


def test_the_simulation_never_loads_homomorphic_encryption():
    modules = loaded_by("import secagg.simulate")
    assert "numba" in modules
    assert "tenseal" not in modules
