"""Times in a form for people."""

import time

_DAY_S = 86_400.0


def expiry(left_s: float) -> str:
    """Say when something expires, in whole days: `expires in 3 days`, `expires today`, `expired 2 days ago`."""
    if left_s <= 0:
        days = int(-left_s // _DAY_S)
        return f"expired {days} days ago" if days > 1 else "has expired"
    days = int(left_s // _DAY_S)
    return f"expires in {days} days" if days > 1 else "expires within two days" if days else "expires today"


def utc(seconds: float, *, exact: bool = False) -> str:
    """Return a time in seconds since 1970, to the minute, or to the second if `exact`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC" if exact else "%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
