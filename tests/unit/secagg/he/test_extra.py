"""The extra for homomorphic encryption is detected without loading it."""

import subprocess
import sys

import pytest

from secagg import he


@pytest.mark.parametrize("missing", ["tenseal", "zstandard"])
def test_the_extra_is_there_as_a_whole_or_not(missing, monkeypatch):
    assert he.is_installed()
    monkeypatch.setattr(he, "find_spec", lambda name: None if name == missing else object())
    assert not he.is_installed()


def test_looking_loads_nothing():
    asked = "import sys; from secagg import he; he.is_installed(); sys.exit('tenseal' in sys.modules)"
    subprocess.run([sys.executable, "-c", asked], check=True)
