"""The kernel's clock status, and a clock that does not jump."""

import ctypes
import time

_UNSYNCHRONISED = 5  # TIME_ERROR, returned by adjtimex(2) for an unsynchronised clock
_TIMEX_BYTES = 256  # struct timex has 208; all zeros only query


def clock_synchronised() -> bool:
    """Return whether NTP or similar keeps the clock synchronised; True if the kernel cannot be asked."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "adjtimex"):  # not Linux
        return True
    return bool(library.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) != _UNSYNCHRONISED)


JUMP_S = 30.0
"""Larger steps of the wall clock between two readings are jumps; NTP corrects smaller ones gradually."""


class SteadyClock:
    """The wall clock, but a jump takes effect only after as much time as it spans.

    A clock that is set two hours ahead must not end everything that is due within two hours. Nothing that goes by this
    clock is early, and nothing is later than the jump is long.
    """

    def __init__(self) -> None:
        self._read = (_wall(), _elapsed())
        self._held_s = 0.0
        self._until = 0.0

    def now(self) -> float:
        """Return the time in seconds since 1970; must be called at least every few minutes."""
        wall, elapsed = _wall(), _elapsed()
        jumped_s = (wall - self._read[0]) - (elapsed - self._read[1])
        self._read = (wall, elapsed)
        if abs(jumped_s) > JUMP_S:
            self._held_s += jumped_s
            self._until = elapsed + abs(self._held_s)
        elif elapsed >= self._until:
            self._held_s = 0.0
        return wall - self._held_s


def _wall() -> float:
    return time.time()


def _elapsed() -> float:
    """Seconds since the machine started, with those in which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
