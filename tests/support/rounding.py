"""Another machine's arithmetic: linear algebra, logarithms and exponentials with different last digits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

ULPS = 8
_LINEAR_ALGEBRA = ("solve", "inv", "lstsq", "eigh", "eigvalsh", "cholesky", "norm", "cond", "pinv")
_MODULES = {
    "participant.analyses.regression.glm": ("logit", "log", "sqrt"),
    "participant.analyses.regression.ordinal": ("logit",),
    "participant.analyses.regression.negative_binomial": ("exp", "log"),
}


@contextmanager
def other_rounding(seed: int) -> Iterator[None]:
    """Make results of linear algebra and elementary functions differ by a few units in the last place."""
    chance = np.random.default_rng(seed)  # noqa: TID251 - of a test

    def off(value: Any) -> Any:
        if isinstance(value, tuple):
            return type(value)(*map(off, value)) if hasattr(value, "_fields") else tuple(map(off, value))
        if not isinstance(value, (float, np.floating, np.ndarray)):
            return value
        moved = np.asarray(value, np.float64) * (1 + chance.integers(-ULPS, ULPS + 1, np.shape(value)) * 2.0**-53)
        return moved if isinstance(value, np.ndarray) else float(moved)

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: off(function(*args, **kwargs))

    patches = [patch.object(np.linalg, name, wrapped(getattr(np.linalg, name))) for name in _LINEAR_ALGEBRA]
    for module, names in _MODULES.items():
        patches += [patch(f"{module}.{name}", wrapped(_of(module, name))) for name in names]
    try:
        for one in patches:
            one.start()
        yield
    finally:
        for one in reversed(patches):
            one.stop()


def _of(module: str, name: str) -> Callable[..., Any]:
    from importlib import import_module

    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
