"""Asking the kernel about its clock."""

import ctypes

_UNSYNCHRONISED = 5  # TIME_ERROR, what adjtimex(2) returns for a clock that nothing keeps right
_TIMEX_BYTES = 256  # struct timex has 208; zeros in it only ask


def clock_synchronised() -> bool:
    """Tell whether NTP or the like keeps the clock right; true where the kernel cannot be asked."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "adjtimex"):  # not Linux
        return True
    return bool(library.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) != _UNSYNCHRONISED)
