"""Run by the Python of a clean environment: imports the modules that stdin names, then makes a simulated sum."""

import sys
from importlib import import_module

mode, *modules = sys.stdin.read().split()
for module in modules:
    import_module(module)
installed = import_module("secagg").__file__ or ""
if not installed.startswith(sys.prefix):
    sys.exit(f"this is not the installed package but {installed}")

import numpy as np  # noqa: E402  # after the modules, which have to import without its being there already

from secagg.simulate import simulate  # noqa: E402

vectors = np.arange(50.0).reshape(5, 10)
result = simulate(vectors, clip=64.0, drop_before_upload={4}, mode="he" if mode == "he" else "masks")
if result.survivors != (0, 1, 2, 3) or np.abs(result.total - vectors[:4].sum(axis=0)).max() > 4 * 64 / (2**20 - 2):
    sys.exit(f"the simulated sum is wrong: {result.survivors} {result.total}")
