"""Moments of PINGs that all links of a process share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remora.transport import liveness

MOMENTS = st.floats(min_value=0, max_value=1e7)


@given(now=MOMENTS)
def test_a_ping_comes_within_half_a_period_and_one_and_a_half(now: float) -> None:
    assert 0.5 * liveness.PING_S - 1e-6 <= liveness.next_ping(now) - now <= 1.5 * liveness.PING_S + 1e-6


@given(moments=st.lists(st.floats(min_value=100.5, max_value=101.49), min_size=2))
def test_links_that_began_at_different_moments_speak_at_one(moments: list[float]) -> None:
    assert {liveness.next_ping(now) for now in moments} == {102.0}


def test_who_spoke_a_little_late_speaks_a_period_after_its_moment() -> None:
    assert liveness.next_ping(102.01) == 103.0
