"""Moments that all who wait share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remora.controller import rounds

PERIODS = st.floats(min_value=0.01, max_value=86_400)
MOMENTS = st.floats(min_value=0, max_value=1e7)


@given(now=MOMENTS, period=PERIODS)
def test_it_is_due_within_the_period_and_not_much_sooner(now: float, period: float) -> None:
    wait = rounds.due(now, period) - now
    rounding = 1e-6 * max(1.0, period)
    assert period * (1 - 1 / rounds.PARTS) - rounding <= wait <= period + rounding


@given(begun=st.lists(st.floats(min_value=100, max_value=109.99), min_size=50, max_size=50))
def test_fifty_that_began_at_any_time_wake_a_process_ten_times_a_period(begun: list[float]) -> None:
    assert len({rounds.due(now, 10) for now in begun}) <= rounds.PARTS + 1


def test_who_is_done_at_once_stays_in_the_same_round() -> None:
    now = 1234.0
    for _ in range(5):
        due = rounds.due(now + 0.003, 10)
        assert due == now + 10
        now = due
