"""Stands for `ray.serve.autoscaling_policy`: the policy that is in force without one, for policies that build on it."""

from __future__ import annotations

import math
from typing import Any, Final

from remora.replica.policy import AutoscalingContext


def replica_queue_length_autoscaling_policy(ctx: AutoscalingContext) -> tuple[int, dict[str, Any]]:
    """Return the replicas that share the requests at `target_ongoing_requests` each, and the state as it is.

    Factors, delays and bounds come afterwards, as for every policy.
    """
    wanted = math.ceil(ctx.total_num_requests / ctx.config.get_target_ongoing_requests())
    return wanted, dict(ctx.policy_state or {})


default_autoscaling_policy: Final = replica_queue_length_autoscaling_policy
