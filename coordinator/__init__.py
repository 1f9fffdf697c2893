"""The analyst's side: projects, runs and their results.

Notebooks and programs use `connect` or `connect_async` (see `coordinator.notebook.connect`); `plot` draws a result, and
`export` writes a run as one HTML page.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.notebook.connect import connect, connect_async
    from coordinator.report.page import export
    from coordinator.report.plots import plot

__all__ = ["connect", "connect_async", "export", "plot"]

_HOMES = {
    "connect": "coordinator.notebook.connect",
    "connect_async": "coordinator.notebook.connect",
    "export": "coordinator.report.page",
    "plot": "coordinator.report.plots",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562), so that commands that only look something up do not load Numba."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
