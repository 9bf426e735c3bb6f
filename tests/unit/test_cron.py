"""Cron expressions against a slow reading of the same rules."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora_api import cron


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("expression", "now", "last"),
    [
        ("0 8 * * 1-5", "2026-11-20T09:00", "2026-11-20T08:00"),
        ("0 8 * * 1-5", "2026-11-22T09:00", "2026-11-20T08:00"),
        ("*/15 * * * *", "2026-11-20T09:44", "2026-11-20T09:30"),
        ("30 22-2 * * *", "2026-11-20T03:00", "2026-11-20T02:30"),
        ("0 0 29 2 *", "2026-01-01T00:00", "2024-02-29T00:00"),
        ("0 0 1 jan *", "2026-11-20T09:00", "2026-01-01T00:00"),
        ("0 6 * * sun", "2026-11-20T09:00", "2026-11-15T06:00"),
        ("0 6 * * 7", "2026-11-20T09:00", "2026-11-15T06:00"),
        ("0 0 13 * 5", "2026-11-21T09:00", "2026-11-20T00:00"),
        ("5/20 1,2 * * *", "2026-11-20T09:00", "2026-11-20T02:45"),
    ],
)
def test_when_it_fired_last(expression: str, now: str, last: str) -> None:
    assert cron.parse(expression).last(at(now)) == at(last)


def test_a_day_that_never_comes_never_fires() -> None:
    assert cron.parse("0 0 30 2 *").last(at("2026-11-20T09:00")) is None
    assert not cron.is_between("0 0 30 2 *", "0 0 * * *", at("2026-11-20T09:00"))


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a"]
)
def test_what_is_no_cron_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no cron expression"):
        cron.parse(text)


def test_between_start_and_end() -> None:
    hours = ("0 8 * * 1-5", "0 18 * * 1-5")
    assert cron.is_between(*hours, at("2026-11-20T08:00"))
    assert cron.is_between(*hours, at("2026-11-20T17:59"))
    assert not cron.is_between(*hours, at("2026-11-20T18:00"))
    assert not cron.is_between(*hours, at("2026-11-22T12:00"))
    night = ("0 22 * * *", "0 6 * * *")
    assert cron.is_between(*night, at("2026-11-20T23:00"))
    assert cron.is_between(*night, at("2026-11-20T05:59"))
    assert not cron.is_between(*night, at("2026-11-20T12:00"))


FIELDS = st.tuples(
    st.sampled_from(["*", "0", "*/7", "5-10", "50-5", "3,33"]),
    st.sampled_from(["*", "0", "8", "22-2", "*/5", "1/6"]),
    st.sampled_from(["*", "1", "31", "10-20", "*/3"]),
    st.sampled_from(["*", "feb", "11", "10-1"]),
    st.sampled_from(["*", "0", "7", "fri-mon", "1-5"]),
)


@given(FIELDS, st.datetimes(at("2025-01-01T00:00"), at("2027-01-01T00:00")))
def test_the_last_minute_is_one_that_it_names_and_none_later_is(fields: tuple[str, ...], now: datetime) -> None:
    it = cron.parse(" ".join(fields))

    def fires(moment: datetime) -> bool:
        return moment.hour in it.hours and moment.minute in it.minutes and it.is_on(moment.date())

    minute = now.replace(second=0, microsecond=0)
    last = it.last(now)
    for back in range(24 * 60):
        earlier = minute - timedelta(minutes=back)
        if fires(earlier):
            assert last == earlier
            return
    assert last is None or (last < minute - timedelta(minutes=24 * 60 - 1) and fires(last))
