"""The schedule of a site: windows of weekdays and hours, in the site's own time zone. Pure: the time is an argument."""

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from participant.statistics.language.query import Strict

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Window(Strict):
    """Hours on some days of the week. If `ends` is earlier than `begins`, the window ends the next day."""

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1, description="days on which the window begins")
    begins: time = Field(default=time(0), description="start time, for example 20:00")
    ends: time = Field(default=time(0), description="end time (excluded); equal to `begins` for 24 hours")

    def spans(self, around: datetime) -> list[tuple[datetime, datetime]]:
        """Return start and end of the windows from the day before `around` to a week after it, in its time zone."""
        found = []
        for offset in range(-1, 8):
            day = (around + timedelta(days=offset)).date()
            if DAYS[day.weekday()] not in self.days:
                continue
            last = day if self.begins < self.ends else day + timedelta(days=1)
            begins, ends = (datetime.combine(*at, around.tzinfo) for at in ((day, self.begins), (last, self.ends)))
            found.append((begins, ends))
        return found


def zone(name: str) -> tzinfo:
    """Return a time zone; UTC works even without the system's time zone database.

    Raises:
        ValueError: the time zone is unknown on this machine.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError("unknown time zone; use a name such as Europe/Berlin") from None


def opens(windows: tuple[Window, ...], time_zone: str, now: float) -> float:
    """Return when the site may next compute, in seconds since 1970: `now` inside a window or without any windows."""
    local = datetime.fromtimestamp(now, UTC).astimezone(zone(time_zone))
    # Compared in seconds since 1970: when clocks are put back, one hour of local time occurs twice.
    spans = [(a.timestamp(), b.timestamp()) for window in windows for a, b in window.spans(local)]
    if not spans or any(begins <= now < ends for begins, ends in spans):
        return now
    return min(begins for begins, _ in spans if begins > now)
