"""The autoscaler: how many replicas one deployment should have, from the requests that there were.

Pure. `scaling` calls it about once a second for each autoscaled deployment, with the sample of that second, and keeps
the state that comes back. The rules, in this order; the first that says another number than there is decides:

* bounds      the number is between the least (minReplicas, or a schedule's) and maxReplicas, at once
* from zero   a request that waits at zero replicas brings one, or as many as the target asks for, at once
* policy      where the user's own function decides, what it says takes the place of the load, and there is no panic;
              at zero it may bring replicas, at once, and so may a request
* panic       load over the short window far above what the replicas are for: up at once, and not down for a while
* up, down    load over the look-back period, once it has asked for it throughout the delay
* to zero     the last replica goes after its own delay without any request

Up begins a tenth above what the replicas are for, down where one replica fewer would do: what lies between changes
nothing. Without samples (nobody reports) nothing changes either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from remora_api.autoscaling import Aggregation, Autoscaling

TOLERANCE = 0.1
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Sample:
    """The requests of one deployment at one moment."""

    at: float
    queued: int
    ongoing: int
    arrived: int = 0
    """Requests that came since the sample before."""

    @property
    def load(self) -> int:
        """Requests that wait or are worked on."""
        return self.queued + self.ongoing


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered from one decision to the next."""

    samples: tuple[Sample, ...] = ()
    above_since: float | None = None
    below_since: float | None = None
    most_below: int = 0
    """The largest number that was asked for since `below_since`."""
    busy_at: float | None = None
    """When there was a request last."""
    panic_until: float | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """The least number of replicas now."""

    least: int
    schedule: str = ""
    """Name of the schedule that asks for it; empty where minReplicas does."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What a policy of the user's says, instead of the load."""

    policy: str
    """As reasons name it: policy scaling:by_queue."""
    wish: int | None
    """None while it says nothing."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas, and why if that is another number than before."""

    count: int
    reason: str
    state: State


def decide(
    config: Autoscaling,
    state: State,
    sample: Sample | None,
    count: int,
    now: float,
    floor: Floor | None = None,
    advice: Advice | None = None,
) -> Decision:
    """Return the decision after a sample (None: nobody reports), with `count` replicas decided before.

    `floor` stands for minReplicas where it is given, `advice` for the load.
    """
    floor = Floor(config.min_replicas) if floor is None else floor
    low, high = min(floor.least, config.max_replicas), config.max_replicas
    state = _learned(config, state, sample, now)
    if count < low:
        why = f"schedule {floor.schedule} has minReplicas {low}" if floor.schedule else f"minReplicas is {low}"
        return _changed(state, count, low, why)
    if count > high:
        return _changed(state, count, high, f"maxReplicas is {high}")
    if advice is not None and (count > 0 or advice.wish):
        if advice.wish is None:
            return Decision(count, "", replace(state, above_since=None, below_since=None))
        why = f"{advice.policy} says {advice.wish}{_bound(advice.wish, high)}"
        if count == 0:
            return _changed(state, count, min(advice.wish, high), why)
        return _slow(config, state, count, low, high, now, _part_of_the_way(config, count, advice.wish), why)
    if sample is None:
        # Delays begin anew: what happened meanwhile is not known.
        return Decision(count, "", replace(state, above_since=None, below_since=None))
    if count == 0:
        return _from_zero(config, state, sample, high)
    quick = _mean(_since(state.samples, now - config.panic_window_s))
    asked = math.ceil(quick / config.target_ongoing_requests - _EPSILON)
    # Of the load itself, not of the replicas that it takes: those are rounded up, and a little more than one replica is
    # for would be twice as much.
    is_far_above = quick * 100 >= config.panic_threshold_percent * config.target_ongoing_requests * count
    if config.panic_threshold_percent and asked > count and is_far_above:
        state = replace(state, panic_until=now + config.look_back_period_s)
    if state.panic_until is not None and now < state.panic_until:
        wanted = min(max(asked, count), high)
        if wanted == count:
            return Decision(count, "", replace(state, above_since=None, below_since=None))
        state = replace(state, panic_until=now + config.look_back_period_s)
        return _changed(state, count, wanted, _why(config, quick, config.panic_window_s, asked, high, "suddenly "))
    load, _ = recent(config, state, now)
    asked = suggested(config, count, load)
    return _slow(
        config, state, count, low, high, now, asked, _why(config, load, config.look_back_period_s, asked, high)
    )


def _slow(
    config: Autoscaling, state: State, count: int, low: int, high: int, now: float, asked: int, why: str
) -> Decision:
    """Go to the number that is asked for once its delay is over."""
    # Whether the last one goes is not a matter of the mean.
    wanted = min(max(asked, low, 1), high)
    if wanted > count:
        since = now if state.above_since is None else state.above_since
        state = replace(state, above_since=since, below_since=None)
        if now - since < config.upscale_delay_s:
            return Decision(count, "", state)
        return _changed(state, count, wanted, why)
    if wanted < count:
        began = state.below_since is None
        since = now if state.below_since is None else state.below_since
        most = wanted if began else max(wanted, state.most_below)
        state = replace(state, above_since=None, below_since=since, most_below=most)
        if now - since < config.downscale_delay_s:
            return Decision(count, "", state)
        return _changed(state, count, most, why)
    state = replace(state, above_since=None, below_since=None)
    idle_s = 0.0 if state.busy_at is None else now - state.busy_at
    if low == 0 and count == 1 and asked == 0 and state.busy_at is not None and idle_s >= config.to_zero_delay_s:
        return _changed(state, count, 0, f"no request for {idle_s:.0f} s")
    return Decision(count, "", state)


def recent(config: Autoscaling, state: State, now: float) -> tuple[float, float]:
    """Return the requests of the look-back period, and those of them that waited, aggregated as the config says."""
    samples = _since(state.samples, now - config.look_back_period_s)
    loads, queued = [sample.load for sample in samples], [sample.queued for sample in samples]
    return _aggregate(config.aggregation, loads), _aggregate(config.aggregation, queued)


def suggested(config: Autoscaling, count: int, load: float) -> int:
    """Return the number that a load asks for, with `count` replicas (above 0) there; neither bounds nor delays.

    Ray Serve's rule: the load relative to what `count` replicas are for, taken a factor of the way, rounded up.
    """
    ratio = load / (config.target_ongoing_requests * count)
    if 1 < ratio <= 1 + TOLERANCE + _EPSILON:
        return count
    return _part_of_the_way(config, count, count * ratio)


def _part_of_the_way(config: Autoscaling, count: int, wanted: float) -> int:
    """Return where a decision gets from `count` towards `wanted`: a factor of the way, rounded up."""
    factor = config.upscaling_factor if wanted > count else config.downscaling_factor
    there = math.ceil(max(0.0, count + (wanted - count) * factor) - _EPSILON)
    if there == count > math.ceil(wanted - _EPSILON):
        # A small factor is to slow it down, not to stop it.
        return count - 1
    return there


def _learned(config: Autoscaling, state: State, sample: Sample | None, now: float) -> State:
    """Return the state with a sample more, and without those that are too old."""
    if sample is None:
        return state
    span = max(config.look_back_period_s, config.panic_window_s)
    kept = (*_since(state.samples, now - span), sample)
    is_busy = sample.load > 0 or sample.arrived > 0 or state.busy_at is None
    return replace(state, samples=kept, busy_at=now if is_busy else state.busy_at)


def _from_zero(config: Autoscaling, state: State, sample: Sample, high: int) -> Decision:
    if sample.load == 0 and sample.arrived == 0:
        return Decision(0, "", replace(state, above_since=None, below_since=None))
    wanted = min(max(1, math.ceil(sample.load / config.target_ongoing_requests - _EPSILON)), high)
    waiting = max(sample.load, sample.arrived)
    return _changed(state, 0, wanted, f"{waiting} request{'s' * (waiting != 1)} came while there was no replica")


def _changed(state: State, count: int, wanted: int, why: str) -> Decision:
    state = replace(state, above_since=None, below_since=None)
    return Decision(wanted, f"autoscaled from {count} to {wanted}: {why}", state)


def _why(config: Autoscaling, load: float, window_s: float, asked: int, high: int, how: str = "") -> str:
    target = config.target_ongoing_requests
    said = f"{how}{load:.1f} requests at a time over {window_s:g} s, {target:g} per replica are right"
    return said + _bound(asked, high)


def _bound(asked: int, high: int) -> str:
    return f"; {asked} would be right, maxReplicas is {high}" if asked > high else ""


def _since(samples: Sequence[Sample], moment: float) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if sample.at > moment)


def _mean(samples: Sequence[Sample]) -> float:
    return sum(sample.load for sample in samples) / len(samples) if samples else 0.0


def _aggregate(how: Aggregation, loads: Sequence[int]) -> float:
    if not loads:
        return 0.0
    match how:
        case Aggregation.MEAN:
            return sum(loads) / len(loads)
        case Aggregation.MAX:
            return float(max(loads))
        case Aggregation.MIN:
            return float(min(loads))
