"""Times in a form for people."""

import time


def utc(seconds: float, *, exact: bool = False) -> str:
    """Return a time in seconds since 1970, to the minute, or to the second if `exact`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC" if exact else "%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
