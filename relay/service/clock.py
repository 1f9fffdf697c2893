"""Queries the kernel's clock status."""

import ctypes

_UNSYNCHRONISED = 5  # TIME_ERROR, returned by adjtimex(2) for an unsynchronised clock
_TIMEX_BYTES = 256  # struct timex has 208; all zeros only query


def clock_synchronised() -> bool:
    """Return whether NTP or similar keeps the clock synchronised; True if the kernel cannot be asked."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "adjtimex"):  # not Linux
        return True
    return bool(library.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) != _UNSYNCHRONISED)
