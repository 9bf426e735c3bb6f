"""The autoscaler's rules, one by one and under random loads."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from remora.controller.autoscaler import TOLERANCE, Advice, Decision, Floor, Sample, State, decide, suggested
from remora_api.autoscaling import Aggregation, Autoscaling


def config(**values: object) -> Autoscaling:
    given: dict[str, object] = {"min_replicas": 1, "max_replicas": 10, "target_ongoing_requests": 2}
    return Autoscaling.from_plain({**given, **values})


CALM = {"panic_threshold_percent": 0}
QUICK = {"upscale_delay_s": 0, "downscale_delay_s": 0, "look_back_period_s": 1, **CALM}


def run(config: Autoscaling, loads: Sequence[int | None], count: int = 1) -> list[Decision]:
    """Return the decision of every second."""
    state, decisions = State(), []
    for now, load in enumerate(loads):
        sample = None if load is None else Sample(float(now), 0, load, arrived=load)
        decision = decide(config, state, sample, count, float(now))
        state, count = decision.state, decision.count
        decisions.append(decision)
    return decisions


def counts(config: Autoscaling, loads: Sequence[int | None], count: int = 1) -> list[int]:
    return [decision.count for decision in run(config, loads, count)]


def changes(decisions: Sequence[Decision]) -> list[tuple[int, str]]:
    return [(at, decision.reason) for at, decision in enumerate(decisions) if decision.reason]


def test_it_goes_where_the_load_asks_for_at_once_without_delays() -> None:
    assert counts(config(**QUICK), [1, 4, 8, 100, 7, 0]) == [1, 2, 4, 10, 4, 1]


def test_a_decision_says_why() -> None:
    (first,) = changes(run(config(**QUICK), [9]))
    assert first[1] == "autoscaled from 1 to 5: 9.0 requests at a time over 1 s, 2 per replica are right"
    (bound,) = changes(run(config(max_replicas=3, **QUICK), [9]))
    assert bound[1].endswith("; 5 would be right, maxReplicas is 3")


def test_up_waits_for_its_delay_and_a_dip_begins_it_anew() -> None:
    slow = config(upscale_delay_s=5, look_back_period_s=1, **CALM)
    assert counts(slow, [8] * 7) == [1, 1, 1, 1, 1, 4, 4]
    assert counts(slow, [8, 8, 8, 2, 8, 8, 8, 8, 8, 8]) == [1] * 9 + [4]


def test_down_waits_for_its_delay_and_goes_to_the_most_that_was_asked_for_meanwhile() -> None:
    slow = config(downscale_delay_s=4, look_back_period_s=1, **CALM)
    assert counts(slow, [2, 2, 6, 2, 2, 2], count=4) == [4, 4, 4, 4, 3, 3]


@pytest.mark.parametrize(("how", "wanted"), [("Mean", 3), ("Max", 6), ("Min", 1)])
def test_aggregation_is_over_the_look_back_period(how: str, wanted: int) -> None:
    it = config(aggregation=Aggregation(how), look_back_period_s=4, upscale_delay_s=0, downscale_delay_s=0, **CALM)
    assert counts(it, [2, 2, 6, 12], count=1)[-1] == wanted


def test_factors_take_a_part_of_the_way_and_never_get_stuck() -> None:
    half = config(upscaling_factor=0.5, downscaling_factor=0.5, **QUICK)
    assert counts(half, [16], count=4) == [6]
    assert counts(half, [2] * 5, count=8) == [5, 3, 2, 1, 1]


def test_panic_skips_the_delay_and_holds_for_the_look_back_period() -> None:
    it = config(look_back_period_s=20, downscale_delay_s=0, upscale_delay_s=600, panic_window_s=3)
    decisions = run(it, [2] * 10 + [20] * 4 + [0] * 40)
    first_up, reason = changes(decisions)[0]
    assert 10 <= first_up <= 12
    assert "suddenly" in reason
    peak = max(decision.count for decision in decisions)
    assert peak == 10
    until = next(at for at in range(14, 60) if decisions[at].count < peak)
    last_up = max(at for at, reason in changes(decisions) if "suddenly" in reason)
    assert until - last_up >= 20


def test_without_reports_nothing_changes() -> None:
    assert counts(config(**QUICK), [None] * 5, count=7) == [7] * 5
    slow = config(upscale_delay_s=3, look_back_period_s=1, **CALM)
    assert counts(slow, [8, 8, 8, None, 8, 8, 8]) == [1] * 7


def test_bounds_hold_at_once_and_say_so() -> None:
    low = decide(config(min_replicas=3), State(), None, 1, 0)
    assert (low.count, low.reason) == (3, "autoscaled from 1 to 3: minReplicas is 3")
    assert decide(config(max_replicas=3), State(), None, 8, 0).count == 3
    office = decide(config(), State(), None, 1, 0, Floor(5, "office"))
    assert (office.count, office.reason) == (5, "autoscaled from 1 to 5: schedule office has minReplicas 5")


def test_the_last_one_goes_after_its_own_delay_without_a_request() -> None:
    it = config(min_replicas=0, downscale_to_zero_delay_s=5, **QUICK)
    assert counts(it, [1, 0, 0, 0, 0, 0, 0]) == [1, 1, 1, 1, 1, 0, 0]
    # A request between two samples is seen by its arrival alone.
    state, count = State(), 1
    for now in range(20):
        sample = Sample(now, 0, 0, arrived=now % 4 == 0)
        decision = decide(it, state, sample, count, now)
        state, count = decision.state, decision.count
    assert count == 1


def test_a_request_at_zero_brings_replicas_at_once() -> None:
    it = config(min_replicas=0, upscale_delay_s=600)
    assert decide(it, State(), Sample(0, 1, 0, 1), 0, 0).count == 1
    assert decide(it, State(), Sample(0, 100, 0, 100), 0, 0).count == 10
    assert decide(it, State(), Sample(0, 0, 0, 0), 0, 0).count == 0
    assert decide(it, State(), Sample(0, 0, 0, 1), 0, 0).reason.endswith("1 request came while there was no replica")


def test_a_policy_stands_for_the_load_with_factors_bounds_and_delays() -> None:
    busy = Sample(0, 50, 50, 100)

    def advised(wish: int | None, count: int = 4, **values: object) -> Decision:
        return decide(config(**{**QUICK, **values}), State(), busy, count, 0, advice=Advice("policy m:f", wish))

    assert advised(None).count == 4
    assert (advised(7).count, advised(7).reason) == (7, "autoscaled from 4 to 7: policy m:f says 7")
    assert advised(99).reason.endswith("says 99; 99 would be right, maxReplicas is 10")
    assert advised(8, upscaling_factor=0.5).count == 6
    assert advised(3, downscaling_factor=0.1).count == 3
    assert advised(7, upscale_delay_s=5).count == 4
    assert advised(0, min_replicas=0).count == 1, "the last one goes only when there is no request"
    assert advised(3, count=0, min_replicas=0, upscale_delay_s=600).count == 3
    assert advised(0, count=0, min_replicas=0).reason.endswith("100 requests came while there was no replica")


LOADS = st.lists(st.one_of(st.none(), st.integers(0, 60)), min_size=1, max_size=80)
CONFIGS = st.builds(
    lambda low, span, target, back, up, down, up_factor, down_factor, how, panic, window: Autoscaling(
        min_replicas=low,
        max_replicas=max(1, low + span),
        target_ongoing_requests=target,
        look_back_period_s=back,
        upscale_delay_s=up,
        downscale_delay_s=down,
        upscaling_factor=up_factor,
        downscaling_factor=down_factor,
        aggregation=how,
        panic_threshold_percent=panic,
        panic_window_s=window,
    ),
    st.integers(0, 4),
    st.integers(0, 10),
    st.sampled_from([0.5, 1, 2, 7.5]),
    st.integers(1, 20),
    st.integers(0, 10),
    st.integers(0, 20),
    st.sampled_from([0.3, 1, 1.7]),
    st.sampled_from([0.3, 1]),
    st.sampled_from(list(Aggregation)),
    st.sampled_from([0, 150, 200]),
    st.integers(1, 6),
)


@given(CONFIGS, LOADS, st.integers(0, 20))
def test_it_stays_within_its_bounds(config: Autoscaling, loads: list[int | None], begin: int) -> None:
    assert all(config.min_replicas <= count <= config.max_replicas for count in counts(config, loads, begin))


@given(CONFIGS, LOADS)
def test_every_change_has_a_reason_and_nothing_else_has(config: Autoscaling, loads: list[int | None]) -> None:
    before = config.first
    for decision in run(config, loads, before):
        assert (decision.count != before) == bool(decision.reason)
        before = decision.count


@given(CONFIGS, LOADS)
def test_two_ways_down_are_a_delay_apart_and_panic_never_goes_down(
    config: Autoscaling, loads: list[int | None]
) -> None:
    decisions = run(config, loads, config.first)
    before, last = config.first, -1
    for now, decision in enumerate(decisions):
        if decision.count < before:
            # The delay began after the change before, at the earliest.
            assert now - last >= min(config.downscale_delay_s, config.to_zero_delay_s)
            panic = decisions[now - 1].state.panic_until if now else None
            assert panic is None or now >= panic
        if decision.count != before:
            last = now
        before = decision.count


# A fifteenth more than one replica is for takes two, which is no reason to panic.
@example(config=Autoscaling(min_replicas=0, max_replicas=2, target_ongoing_requests=7.5), load=7, noise=[2] * 40)
@given(CONFIGS, st.integers(1, 60), st.lists(st.integers(0, 4), min_size=40, max_size=60))
def test_a_load_within_the_tolerance_changes_nothing_more(config: Autoscaling, load: int, noise: list[int]) -> None:
    settled = run(config, [load] * 120, config.first)
    before = settled[-1]
    count = before.count
    if count == 0:
        return
    target = config.target_ongoing_requests
    lowest, highest = (count - 1) * target, count * target * (1 + TOLERANCE)
    # Any load for which neither one fewer would do nor a tenth more is needed.
    near = [value for value in (load - 1, load, load + 1) if lowest < value <= highest] or [load]
    state, number = before.state, count
    for at, turn in enumerate(noise):
        now = 120.0 + at
        decision = decide(config, state, Sample(now, 0, near[turn % len(near)], 1), number, now)
        state, number = decision.state, decision.count
        assert number == count


@given(CONFIGS, st.integers(0, 60), st.integers(1, 14))
def test_a_steady_load_has_one_answer(config: Autoscaling, load: int, begin: int) -> None:
    """It gets there from above and from below, and the answer holds the load or is at a bound."""
    final = counts(config, [load] * 400, begin)[-1]
    assert counts(config, [load] * 450, begin)[-1] == final
    if load and final < config.max_replicas:
        assert load <= final * config.target_ongoing_requests * (1 + TOLERANCE) + 1e-6 or suggested(
            config, max(final, 1), load
        ) <= max(final, 1)
