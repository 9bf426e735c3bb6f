"""Modules that stand for Ray Serve's: its default policy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from remora.compat.autoscaling_policy import default_autoscaling_policy
from remora.graph.autoscaling import AutoscalingConfig


def test_the_default_policy_shares_the_requests() -> None:
    config = AutoscalingConfig(max_replicas=9, target_ongoing_requests=2)
    context: Any = SimpleNamespace(total_num_requests=5, config=config, policy_state={"calls": 1})
    assert default_autoscaling_policy(context) == (3, {"calls": 1})
    context.total_num_requests = 0
    assert default_autoscaling_policy(context) == (0, {"calls": 1})
