"""Stands for `ray.serve.autoscaling_policy`: what policies build on, the one that is in force without any first."""

from __future__ import annotations

from typing import Any, Final

from remora.compat.prometheus_answer import PrometheusSample, PrometheusScalar, PrometheusVector
from remora.compat.prometheus_queries import PrometheusQueryMixin
from remora.replica.policy import AutoscalingContext

__all__ = [
    "PrometheusQueryMixin",
    "PrometheusSample",
    "PrometheusScalar",
    "PrometheusVector",
    "default_autoscaling_policy",
    "replica_queue_length_autoscaling_policy",
]


def replica_queue_length_autoscaling_policy(ctx: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """Return the replicas that share the requests at `target_ongoing_requests` each, and the state as it is.

    A fraction, as in Ray Serve: it is rounded up when the policy that builds on it is done. Factors, delays and bounds
    come afterwards, too.
    """
    return ctx.total_num_requests / ctx.config.get_target_ongoing_requests(), dict(ctx.policy_state or {})


default_autoscaling_policy: Final = replica_queue_length_autoscaling_policy
