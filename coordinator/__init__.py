"""The analyst's side: projects and runs, and analyses composed from sums over the sites.

`connect` and `connect_async` are for notebooks and programs; see `coordinator.connection`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.connection import connect, connect_async

__all__ = ["connect", "connect_async"]


def __getattr__(name: str) -> Any:
    """Load what is asked for (PEP 562): commands that only look something up need no Numba."""
    if name in __all__:
        from coordinator import connection  # noqa: PLC0415

        return getattr(connection, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
