"""The cost of imports: the bare package loads nothing, and the relay never loads a compiler."""

import subprocess
import sys
from importlib import import_module

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


def test_the_protocol_loads_compilers_when_it_computes():
    assert loaded_by("import secagg.simulate, secagg.receipts").isdisjoint({"numba", "tenseal"})


@pytest.mark.parametrize("name", ["kernels", "he"])
def test_a_folder_that_loads_on_use_has_no_other_names(name):
    with pytest.raises(AttributeError, match="no attribute 'stray'"):
        import_module(f"secagg.{name}").stray  # noqa: B018  # asking is the test
