"""Cron expressions: minute, hour, day of month, month, day of week. When did one fire last?

Pure; wall-clock times without a zone. `PATTERN` holds every number to its range, so that what matches can be parsed:
the API server needs nothing else to refuse the rest. A range may run over the end (`22-6`, `fri-mon`). As in every
cron, a day is meant when either of the two day fields names it, if both are restricted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

MAX_LENGTH = 100
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LOOK_BACK_DAYS = 366 * 8
"""From one 29 February to the next there may be eight years."""


def _field(value: str) -> str:
    part = rf"(\*|({value})(-({value}))?)(/[1-9][0-9]?)?"
    return rf"{part}(,{part})*"


PATTERN = " ".join(
    _field(value)
    for value in (
        "[0-5]?[0-9]",
        "[01]?[0-9]|2[0-3]",
        "0?[1-9]|[12][0-9]|3[01]",
        f"0?[1-9]|1[0-2]|{'|'.join(_MONTHS)}",
        f"[0-7]|{'|'.join(_DAYS)}",
    )
)


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    any_day: bool
    any_weekday: bool

    def is_on(self, day: date) -> bool:
        """Whether it fires on a day at all."""
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_month and by_week
        return by_month or by_week

    def last(self, now: datetime) -> datetime | None:
        """Return the latest minute up to now at which it fired; None if it did not for eight years."""
        now = now.replace(second=0, microsecond=0)
        for back in range(_LOOK_BACK_DAYS):
            day = now.date() - timedelta(days=back)
            if not self.is_on(day):
                continue
            latest = (now.hour, now.minute) if back == 0 else (23, 59)
            fired = [(h, m) for h in self.hours for m in self.minutes if (h, m) <= latest]
            if fired:
                hour, minute = max(fired)
                return datetime(day.year, day.month, day.day, hour, minute)
        return None


@lru_cache(maxsize=1024)
def parse(text: str) -> Cron:
    """Return the expression; ValueError when it is none."""
    if len(text) > MAX_LENGTH or re.fullmatch(PATTERN, text) is None:
        raise ValueError(f"{text!r} is no cron expression; write for instance 0 8 * * 1-5")
    minute, hour, day, month, weekday = text.split(" ")
    return Cron(
        minutes=_values(minute, 0, 59),
        hours=_values(hour, 0, 23),
        days=_values(day, 1, 31),
        months=_values(month, 1, 12, _MONTHS, first=1),
        weekdays=frozenset(number % 7 for number in _values(weekday, 0, 6, _DAYS)),
        any_day=day.startswith("*"),
        any_weekday=weekday.startswith("*"),
    )


@lru_cache(maxsize=4096)
def is_between(start: str, end: str, now: datetime) -> bool:
    """Whether `start` fired after `end` did, looking back from a minute; at the same minute, `end` wins."""
    began, ended = parse(start).last(now), parse(end).last(now)
    return began is not None and (ended is None or began > ended)


def _values(text: str, least: int, most: int, names: tuple[str, ...] = (), first: int = 0) -> frozenset[int]:
    def number(word: str) -> int:
        return names.index(word) + first if word in names else int(word)

    found: set[int] = set()
    for part in text.split(","):
        span, _, every = part.partition("/")
        low, _, high = span.partition("-")
        if span == "*":
            begin, end = least, most
        else:
            begin = number(low)
            end = number(high) if high else (most if every else begin)
        if end < begin:
            # Over the end of the day, the week or the year.
            end += most - least + 1
        found |= {
            it if it <= max(most, begin) else it - (most - least + 1) for it in range(begin, end + 1, int(every or 1))
        }
    return frozenset(found)
