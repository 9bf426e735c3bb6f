"""Capacity: a share of the replicas that an application is to have, as `target_capacity` of a Serve config says.

Pure.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from remora_api.autoscaling import Autoscaling


def share(count: int, percent: float | None) -> int:
    """Return so many percent of a number of replicas, halves rounded up; at least one, unless one of both is 0.

    Example: 50 % of 3 → 2, of 1 → 1, of 0 → 0. None is all of them.
    """
    if percent is None:
        return count
    if percent == 0 or count == 0:
        return 0
    return max(1, int((Decimal(count) * Decimal(str(percent)) / 100).to_integral_value(ROUND_HALF_UP)))


def bounds(autoscaling: Autoscaling, percent: float | None) -> Autoscaling:
    """Return the autoscaling with the share of its bounds.

    As in Ray Serve it does not go below the share of `initial_replicas`, where there are any: an application whose
    capacity grows step by step takes its part of the load before the load is measured. It begins with all of them
    that the bounds let through.
    """
    if percent is None:
        return autoscaling
    first, most = autoscaling.initial_replicas, share(autoscaling.max_replicas, percent)
    least = autoscaling.min_replicas if first is None else first
    return autoscaling.but(
        min_replicas=share(least, percent),
        max_replicas=most,
        initial_replicas=None if first is None else min(first, most),
    )
