"""Each way to make the keystream, forced in its own process, gives OpenSSL's bytes and never crashes."""

import os
import subprocess
import sys

import pytest
from llvmlite.binding import get_host_cpu_features

HAS = {feature for feature, present in get_host_cpu_features().items() if present}


def vector_bits(**environment: str) -> int:
    """Run the path that this environment forces, and return the width of its vectors."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CPU")} | environment
    command = [sys.executable, "-m", "tests.support.keystream_path"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(("environment", "path"), [({"NUMBA_CPU_NAME": "generic"}, "OpenSSL"), ({}, "")])
def test_kernels_are_compiled_ahead(environment, path):
    command = [sys.executable, "-m", "secagg.kernels"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("kernels are compiled; masks by AES")
    assert path in done.stdout


def test_what_this_machine_has():
    best = 512 if {"avx512f", "vaes"} <= HAS else 256 if "vaes" in HAS else 128 if "aes" in HAS else 0
    assert vector_bits() == best


@pytest.mark.parametrize(
    ("features", "bits"),
    [
        ("+aes,+avx2,+avx512f,+vaes", 512),
        ("+aes,+avx2,+vaes", 256),
        ("+aes,+avx2", 128),
        ("+aes", 128),
        ("+aes,+avx2,+vaes,-vaes", 128),
        ("+avx2,+vaes,-aes", 0),
        ("+sse2", 0),
    ],
)
def test_reduced_features(features, bits):
    wanted = {feature[1:] for feature in features.split(",")}
    if missing := wanted - HAS:
        pytest.skip(f"this processor lacks {', '.join(sorted(missing))}")
    assert vector_bits(NUMBA_CPU_FEATURES=features) == bits


@pytest.mark.parametrize("environment", [{"NUMBA_CPU_NAME": "generic"}, {"NUMBA_DISABLE_JIT": "1"}])
def test_the_portable_path(environment):
    assert vector_bits(**environment) == 0
