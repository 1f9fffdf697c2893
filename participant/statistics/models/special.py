"""SciPy's special functions under SciPy's names, loaded when the first value is computed.

Loading takes a quarter of a second, which a process that only names statistics and analyses, to check a policy or to
read a plan, thereby saves. No other module imports `scipy.special`.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def _loaded_on_use(name: str) -> Callable[..., Any]:
    def function(*args: Any, **options: Any) -> Any:
        return getattr(import_module("scipy.special"), name)(*args, **options)

    return function


# Logistic function and its inverse, log of gamma, x log y.
expit, logit = _loaded_on_use("expit"), _loaded_on_use("logit")
gammaln, xlogy = _loaded_on_use("gammaln"), _loaded_on_use("xlogy")

# Distributions: normal (tail, quantile), Student's t (tail, quantile), upper tails of chi-square and F.
ndtr, ndtri = _loaded_on_use("ndtr"), _loaded_on_use("ndtri")
stdtr, stdtrit = _loaded_on_use("stdtr"), _loaded_on_use("stdtrit")
chdtrc, fdtrc = _loaded_on_use("chdtrc"), _loaded_on_use("fdtrc")
